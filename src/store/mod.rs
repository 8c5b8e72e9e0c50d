//! Where are the facts kept?
