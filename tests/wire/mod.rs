//! What does a provider look like to the program? [`Provider`]: an OpenAI server on loopback that says what a function makes of each
//! request, and keeps what it was asked.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value as Json, json};

/// A request that came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method and path.
    pub what: String,
    /// The idempotency key.
    pub key: String,
    /// The `Authorization` header.
    pub bearer: String,
    pub body: Json,
}

pub enum Says {
    /// A text and calls, each a tool and its arguments.
    Reply(String, Vec<(String, Json)>),
    /// A refusal with that status and body.
    Refusal(u16, String),
    /// A list of models with these ids.
    Models(Vec<&'static str>),
}

pub struct Provider {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Provider {
    pub fn start(says: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = format!("http://{}/v1", listener.local_addr().expect("it has an address"));
        let (asked, says) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(says));
        let log = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, says) = (log.clone(), says.clone());
                // A client that was killed ends its connection and nothing else.
                thread::spawn(move || drop(serve(stream, &log, &*says)));
            }
        });
        Self { address, asked }
    }

    /// What came, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no thread panics with it").clone()
    }

    /// A catalog whose model `small` is one of this server, with the key of `LOCAL_KEY`.
    pub fn catalog(&self) -> String {
        format!(
            "providers:\n  local: {{ kind: openai, base_url: \"{}\", api_key_env: LOCAL_KEY }}\nmodels:\n  \
             small: {{ provider: local, id: small }}\n  other: {{ provider: local, id: other }}\n",
            self.address
        )
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<Asked>>, says: &dyn Fn(&Asked) -> Says) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut key, mut bearer, mut line) = (0, String::new(), String::new(), String::new());
    reader.read_line(&mut line)?;
    let what = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let Some((name, value)) = line.trim().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "idempotency-key" => key = value.to_owned(),
            "authorization" => bearer = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked = Asked { what, key, bearer, body: serde_json::from_slice(&body).unwrap_or_default() };
    log.lock().expect("no thread panics with it").push(asked.clone());
    let (status, kind, body) = match says(&asked) {
        Says::Refusal(status, body) => (status, "application/json", body),
        Says::Models(ids) => {
            let models: Vec<Json> = ids.iter().map(|id| json!({ "id": id, "object": "model" })).collect();
            (200, "application/json", json!({ "object": "list", "data": models }).to_string())
        }
        Says::Reply(text, calls) => (200, "text/event-stream", stream_of(&text, &calls)),
    };
    let mut stream = reader.into_inner();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

fn stream_of(text: &str, calls: &[(String, Json)]) -> String {
    let chunk = |delta: Json, stop: Json| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": stop });
        format!("data: {}\n\n", json!({ "id": "x", "object": "chat.completion.chunk", "choices": [choice] }))
    };
    let mut out = chunk(json!({ "role": "assistant", "content": text }), Json::Null);
    for (ix, (tool, args)) in calls.iter().enumerate() {
        let function = json!({ "name": tool, "arguments": args.to_string() });
        let call = json!({ "index": ix, "id": format!("c{ix}"), "type": "function", "function": function });
        out.push_str(&chunk(json!({ "tool_calls": [call] }), Json::Null));
    }
    out.push_str(&chunk(json!({}), json!(if calls.is_empty() { "stop" } else { "tool_calls" })));
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120 });
    out.push_str(&format!(
        "data: {}\n\n",
        json!({ "id": "x", "object": "chat.completion.chunk", "choices": [], "usage": usage })
    ));
    out.push_str("data: [DONE]\n\n");
    out
}
