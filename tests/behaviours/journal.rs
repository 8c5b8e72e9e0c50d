//! Behaviours 31 to 35: what a crash, a change of files, damage and a second resume do to a session.
