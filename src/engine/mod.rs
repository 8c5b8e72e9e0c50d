//! Who does what the scheduler asks for?
