//! What came of it?
