//! Which shapes have names?
