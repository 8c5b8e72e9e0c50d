//! What does a provider look like from outside? [`Server`]: HTTP on loopback that answers as a test says, byte by byte.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value as Json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Json,
}

/// A part of a response's body.
#[derive(Clone, Debug)]
pub enum Part {
    /// These bytes, in a chunk of their own.
    Bytes(Vec<u8>),
    /// Nothing for a while.
    Wait(Duration),
    /// Nothing, until the client gives up.
    Stall,
    /// The connection is closed in the middle.
    Cut,
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<Part>,
}

impl Response {
    /// A stream in pieces of `size` bytes.
    pub fn stream(text: &str, size: usize) -> Self {
        let body = text.as_bytes().chunks(size).map(|piece| Part::Bytes(piece.to_vec())).collect();
        Self { status: 200, headers: vec![("content-type", "text/event-stream".to_owned())], body }
    }

    /// A refusal.
    pub fn error(status: u16, body: &str) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: vec![Part::Bytes(body.as_bytes().to_vec())] }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The first half of it, and then something else.
    pub fn half_then(mut self, part: Option<Part>) -> Self {
        self.body.truncate(self.body.len() / 2);
        self.body.extend(part);
        self
    }
}

type Answers = dyn Fn(usize, &Seen) -> Response + Send + Sync;

pub struct Server {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    left: watch::Receiver<usize>,
    load: Arc<Mutex<Load>>,
}

/// Requests that are being answered.
#[derive(Debug, Default)]
struct Load {
    now: usize,
    peak: usize,
}

impl Server {
    /// Answers the request of that number, from 0, as `answers` says.
    pub async fn start(answers: impl Fn(usize, &Seen) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (gone, left) = watch::channel(0);
        let load: Arc<Mutex<Load>> = Arc::default();
        let (answers, log, busy): (Arc<Answers>, _, _) = (Arc::new(answers), seen.clone(), load.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, log, gone, busy) = (answers.clone(), log.clone(), gone.clone(), busy.clone());
                tokio::spawn(async move {
                    // A client that goes away ends its connection and nothing else.
                    let _ = serve(stream, &answers, &log, &gone, &busy).await;
                });
            }
        });
        Self { address, seen, left, load }
    }

    /// What came, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The most requests that it was answering at a time.
    pub fn peak(&self) -> usize {
        self.load.lock().unwrap().peak
    }

    /// Waits until so many clients have gone away from a stalled response.
    pub async fn left(&self, count: usize) {
        self.left.clone().wait_for(|n| *n >= count).await.unwrap();
    }
}

async fn serve(
    stream: TcpStream,
    answers: &Arc<Answers>,
    log: &Mutex<Vec<Seen>>,
    gone: &watch::Sender<usize>,
    load: &Mutex<Load>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let Some(seen) = request(&mut stream).await? else { return Ok(()) };
        let number = {
            let mut log = log.lock().unwrap();
            log.push(seen.clone());
            log.len() - 1
        };
        {
            let mut load = load.lock().unwrap();
            load.now += 1;
            load.peak = load.peak.max(load.now);
        }
        let response = answers(number, &seen);
        let mut head = format!("HTTP/1.1 {} Whatever\r\ntransfer-encoding: chunked\r\n", response.status);
        for (name, value) in &response.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await?;
        stream.flush().await?;
        for part in response.body {
            match part {
                Part::Bytes(bytes) => {
                    let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat();
                    stream.write_all(&chunk).await?;
                    stream.flush().await?;
                }
                Part::Wait(span) => tokio::time::sleep(span).await,
                Part::Stall => {
                    while stream.read(&mut [0; 64]).await.is_ok_and(|n| n > 0) {}
                    gone.send_modify(|n| *n += 1);
                    return Ok(());
                }
                Part::Cut => return Ok(()),
            }
        }
        load.lock().unwrap().now -= 1;
        stream.write_all(b"0\r\n\r\n").await?;
        stream.flush().await?;
    }
}

async fn request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Ok(None),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let path = lines.next().and_then(|l| l.split(' ').nth(1)).unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> =
        lines.filter_map(|l| l.split_once(':')).map(|(k, v)| (k.to_lowercase(), v.trim().to_owned())).collect();
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Seen { path, headers, body: serde_json::from_slice(&body).unwrap_or(Json::Null) }))
}
