//! What does a table hold? CSV and its kin: comma, semicolon, tab or bar; quoted or not; wide or long.

use csv::{ByteRecord, ReaderBuilder, StringRecord};

use super::{super::error::MetricsError, File, Graph, Layout, MAX_COLUMNS, MAX_EDGES, SNIFFED, Sink, layout, open::Input};

const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Reads a table.
pub fn read(mut input: Input, file: &File, sink: &mut Sink<'_>) -> Result<(), MetricsError> {
    let head = input.peek(file)?;
    if head.is_empty() {
        return Err(MetricsError::file(&file.name, 0, "the file is empty"));
    }
    let (separator, commented) = (separator(head), head.starts_with(b"#"));
    let (budget, stop) = (input.budget(), input.stop());
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .comment(commented.then_some(b'#'))
        .from_reader(input);
    let mut record = ByteRecord::new();
    let mut next = |record: &mut ByteRecord| -> Result<Option<u64>, MetricsError> {
        budget.renew();
        match reader.read_byte_record(record) {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(record.position().map_or(0, csv::Position::line))),
            Err(e) => {
                let line = e.position().map_or_else(|| reader.position().line(), csv::Position::line);
                match e.into_kind() {
                    csv::ErrorKind::Io(io) => match Input::fault(&stop, file, &io) {
                        MetricsError::Io { cause, .. } => Err(MetricsError::file(&file.name, line, cause)),
                        other => Err(other),
                    },
                    other => Err(MetricsError::file(&file.name, line, format!("{other:?}"))),
                }
            }
        }
    };
    let Some(first_line) = next(&mut record)? else {
        return Err(MetricsError::file(&file.name, 0, "the file has no header line"));
    };
    let header: Vec<String> = texts(record.clone()).iter().map(|name| name.trim().to_owned()).collect();
    if header.len() > MAX_COLUMNS {
        return Err(MetricsError::file(
            &file.name,
            first_line,
            format!("{} columns; at most {MAX_COLUMNS} are read", header.len()),
        ));
    }
    if layout::is_data(&header, &sink.clock) {
        let problem =
            "the first line holds values, not the names of columns; add a header line such as `timestamp,service,metric,value`";
        return Err(MetricsError::file(&file.name, first_line, problem));
    }
    let mut sniffed: Vec<(u64, StringRecord)> = Vec::new();
    while sniffed.len() < SNIFFED {
        let Some(line) = next(&mut record)? else { break };
        sniffed.push((line, texts(record.clone())));
    }
    if sniffed.is_empty() {
        sink.remarks.push("only a header line, no rows".to_owned());
        return Ok(());
    }
    let rows: Vec<Vec<String>> = sniffed.iter().map(|(_, row)| row.iter().map(str::to_owned).collect()).collect();
    let comma = has_decimal_commas(&rows);
    let mut meaning = match Layout::tell(&header, &rows, comma, sink) {
        Ok(layout) => Meaning::Series(layout),
        Err(problem) => match Graph::tell(&header, &rows) {
            Some(graph) => Meaning::Calls(graph),
            None => return Err(MetricsError::file(&file.name, first_line, problem)),
        },
    };
    drop(rows);
    for (line, row) in &sniffed {
        take(&mut meaning, row, header.len(), *line, sink);
    }
    drop(sniffed);
    while let Some(line) = next(&mut record)? {
        // Moved into text and back, so that the buffers of the record are used again.
        let row = texts(std::mem::take(&mut record));
        take(&mut meaning, &row, header.len(), line, sink);
        record = row.into_byte_record();
    }
    Ok(())
}

/// What a table holds.
enum Meaning {
    Series(Layout),
    Calls(Graph),
}

fn take(meaning: &mut Meaning, row: &StringRecord, columns: usize, line: u64, sink: &mut Sink<'_>) {
    // A torn row has fewer cells; one with a stray separator has more, and its cells cannot be told apart.
    if row.len() > columns && row.iter().skip(columns).any(|cell| !cell.trim().is_empty()) {
        sink.broken(line, row.get(0).unwrap_or_default());
        return;
    }
    if row.len() == 1 && row.get(0).is_none_or(|cell| cell.trim().is_empty()) {
        return;
    }
    let cell = |i| row.get(i).unwrap_or_default();
    match meaning {
        Meaning::Series(layout) => layout.take(cell, line, sink),
        Meaning::Calls(graph) => {
            if !graph.take(cell, &mut sink.edges) && sink.remarks.is_empty() {
                sink.remarks.push(format!("more than {MAX_EDGES} edges of a call graph: the rest was left out"));
            }
        }
    }
}

fn texts(record: ByteRecord) -> StringRecord {
    StringRecord::from_byte_record_lossy(record)
}

/// The separator that the first line has most of, outside quotes.
fn separator(head: &[u8]) -> u8 {
    let line =
        head.split(|b| *b == b'\n').find(|line| !line.starts_with(b"#") && !line.trim_ascii().is_empty()).unwrap_or_default();
    let mut counts = [0usize; SEPARATORS.len()];
    let mut quoted = false;
    for byte in line {
        quoted ^= *byte == b'"';
        if let Some(i) = SEPARATORS.iter().position(|s| s == byte)
            && !quoted
        {
            counts[i] += 1;
        }
    }
    // The last of equals is not better than the first: a comma wins over a bar.
    let best = (0..SEPARATORS.len()).rev().max_by_key(|i| counts[*i]).unwrap_or(0);
    SEPARATORS[best]
}

/// Whether numbers are written `3,14`: some cell is one only if a comma is its point, none has a point for it.
fn has_decimal_commas(rows: &[Vec<String>]) -> bool {
    let cells = || rows.iter().flatten().map(|cell| cell.trim()).filter(|cell| cell.len() <= 32);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let comma = cells().any(|cell| {
        cell.trim_start_matches('-').split_once(',').is_some_and(|(whole, part)| {
            // `1,234` may be either.
            digits(&whole.replace('.', "")) && digits(part) && (part.len() != 3 || whole.len() > 3 || whole == "0")
        })
    });
    let point =
        cells().any(|cell| cell.split_once('.').is_some_and(|(whole, part)| digits(whole) && digits(part) && part.len() != 3));
    comma && !point
}
