//! What must every store do? Each check here is run against each implementation.
