//! What may run, in what order?
