//! How are documents found? [`Index`]: full-text search of SQLite in memory, with stemming and BM25 rank.
//!
//! Robertson, Zaragoza: "The Probabilistic Relevance Framework: BM25 and Beyond" (2009); <https://sqlite.org/fts5.html>.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::{
    KnowledgeError, PASSAGES_LIMIT, Passage, QUERY_LIMIT, Query,
    document::{Document, Section},
    words::{expression, spaced},
};

/// How much more a word counts in the title, the name and the headings than in the text.
const WEIGHTS: &str = "6.0, 6.0, 2.0, 1.0";
/// The text of a passage at most, in characters.
const PASSAGE: usize = 1_600;

/// Documents by path, and where their words are.
pub(super) struct Index {
    db: Connection,
    documents: Vec<(String, Document)>,
}

impl Index {
    /// Indexes documents, each with its path.
    pub(super) fn build(documents: Vec<(String, Document)>) -> Result<Self, KnowledgeError> {
        let mut db = Connection::open_in_memory()?;
        db.execute_batch(
            "CREATE VIRTUAL TABLE documents USING fts5(title, name, headings, body, tokenize = 'porter unicode61 remove_diacritics 2', content = '');
             CREATE VIRTUAL TABLE sections USING fts5(heading, body, tokenize = 'porter unicode61 remove_diacritics 2', content = '');
             CREATE TABLE section_of (document INTEGER, section INTEGER, id INTEGER PRIMARY KEY);
             CREATE INDEX by_document ON section_of (document);",
        )?;
        let transaction = db.transaction()?;
        {
            let mut add =
                transaction.prepare("INSERT INTO documents (rowid, title, name, headings, body) VALUES (?, ?, ?, ?, ?)")?;
            let mut part = transaction.prepare("INSERT INTO sections (rowid, heading, body) VALUES (?, ?, ?)")?;
            let mut place = transaction.prepare("INSERT INTO section_of (document, section, id) VALUES (?, ?, ?)")?;
            let mut id = 0_i64;
            for (document, (_, parsed)) in (0_i64..).zip(&documents) {
                let headings: Vec<String> = parsed.sections.iter().map(|section| spaced(&section.heading)).collect();
                let bodies: Vec<String> = parsed.sections.iter().map(|section| spaced(&section.text)).collect();
                let name = format!("{} {}", parsed.name, spaced(&parsed.name));
                add.execute(params![document, parsed.title, name, headings.join("\n"), bodies.join("\n")])?;
                for (section, (heading, body)) in (0_i64..).zip(headings.iter().zip(&bodies)) {
                    part.execute(params![id, heading, body])?;
                    place.execute(params![document, section, id])?;
                    id += 1;
                }
            }
        }
        transaction.commit()?;
        Ok(Self { db, documents })
    }

    /// The documents that fit best, each with the part that fits best.
    pub(super) fn search(&self, query: &Query) -> Result<Vec<Passage>, KnowledgeError> {
        let text: String = query.text.chars().take(QUERY_LIMIT).collect();
        let Some(expression) = expression(&text) else { return Ok(Vec::new()) };
        let ranked = format!(
            "SELECT rowid, bm25(documents, {WEIGHTS}) AS rank FROM documents WHERE documents MATCH ? ORDER BY rank, rowid"
        );
        let mut ranked = self.db.prepare_cached(&ranked)?;
        let mut rows = ranked.query(params![expression])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()?
            && found.len() < query.limit.min(PASSAGES_LIMIT)
        {
            let (id, rank): (i64, f64) = (row.get(0)?, row.get(1)?);
            let Some((path, document)) = self.document(id).filter(|(_, document)| document.passes(&query.filters)) else {
                continue;
            };
            let section = self.best_section(id, document, &expression)?;
            found.push(Passage {
                document: path.clone(),
                title: document.title.clone(),
                section: section.heading.clone(),
                line: section.line,
                text: cut(section.text.trim()),
                // BM25 in SQLite is better the smaller it is.
                score: (-rank * 1e4).round() / 1e4,
            });
        }
        Ok(found)
    }

    fn document(&self, id: i64) -> Option<&(String, Document)> {
        self.documents.get(usize::try_from(id).ok()?)
    }

    /// The part of a document that fits best; the first that says something where only its title fits.
    fn best_section(&self, id: i64, document: &Document, expression: &str) -> Result<Section, KnowledgeError> {
        let mut best = self.db.prepare_cached(
            "SELECT section_of.section FROM sections JOIN section_of ON section_of.id = sections.rowid
             WHERE sections MATCH ? AND section_of.document = ? ORDER BY bm25(sections, 2.0, 1.0), sections.rowid LIMIT 8",
        )?;
        let mut rows = best.query(params![expression, id])?;
        let says = |section: &&Section| !section.text.trim().is_empty();
        while let Some(row) = rows.next()? {
            let section: i64 = row.get(0)?;
            if let Some(section) = usize::try_from(section).ok().and_then(|at| document.sections.get(at)).filter(says) {
                return Ok(section.clone());
            }
        }
        Ok(document.sections.iter().find(says).cloned().unwrap_or_default())
    }

    /// How many documents there are for each value of a field of the front matter.
    pub(super) fn values(&self, field: &str) -> BTreeMap<&str, usize> {
        let mut values = BTreeMap::new();
        for (_, document) in &self.documents {
            for value in document.fields.get(field).into_iter().flatten() {
                *values.entry(value.as_str()).or_default() += 1;
            }
        }
        values
    }
}

/// The text with at most [`PASSAGE`] characters, to the end of a line where there is one.
fn cut(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(PASSAGE) else { return text.to_owned() };
    let line = text[..end].rfind('\n').filter(|at| *at > end / 2).unwrap_or(end);
    format!("{}\n…", text[..line].trim_end())
}
