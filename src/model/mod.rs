//! Who answers?
