//! What does the database cost with nothing around it?

use std::{
    path::Path,
    time::{Duration, Instant},
};

use redb::{Builder, ConcurrencyMode, TableDefinition};

use crate::Failure;

/// About what the record of a node takes, encoded.
const ROW: [u8; 160] = [7; 160];

/// How long plain redb takes for `rows` rows in `commits` commits, in the mode that journals use.
pub fn journal_on_disk(path: &Path, rows: usize, commits: usize) -> Result<Duration, Failure> {
    const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
    let db = Builder::new().set_concurrency_mode(ConcurrencyMode::SingleWriter).create(path)?;
    let began = Instant::now();
    for commit in 0..commits {
        let write = db.begin_write()?;
        {
            let mut table = write.open_table(TABLE)?;
            for row in (commit..rows).step_by(commits) {
                table.insert(row as u64, ROW.as_slice())?;
            }
        }
        write.commit()?;
    }
    Ok(began.elapsed())
}
