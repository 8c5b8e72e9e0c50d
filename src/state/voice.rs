//! Who speaks for a team inside another? [`State::voice`].
//!
//! Teams hear nothing of each other's talk. What goes from one to the team around it goes through its coordinator, who is heard
//! there by the name of the member that the team is, and reads the mail to that member. Where the file opens the member, each of
//! its agents is heard so.

use super::State;
use crate::value::{NodeIx, Role};

/// An agent that speaks for its team in the team around that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice<'s> {
    /// Where its team works.
    pub scope: NodeIx,
    /// The team at work around that.
    pub frame: u32,
    /// The name by which it is heard there.
    pub member: &'s Role,
    /// Whether it is the coordinator, who reads what is said to that member.
    pub leads: bool,
}

impl State {
    /// For whom an agent speaks beside itself; `None` for one of the session's own team, and for one who speaks for itself only.
    pub fn voice(&self, node: NodeIx) -> Option<Voice<'_>> {
        let role = self.role_of(node)?;
        let scope = self.instances[self.frame_of(node) as usize].scope?;
        let seat = self.node(scope).seat()?;
        let leads = self.coordinator_of(node) == Some(role);
        let speaks = leads || (seat.open && *role != seat.member);
        speaks.then(|| Voice { scope, frame: self.frame_of(scope), member: &seat.member, leads })
    }

    /// In which team at work something is said at a node, by the name under which it is.
    pub fn said_in(&self, node: NodeIx, by: Option<&Role>) -> u32 {
        match self.voice(node) {
            Some(voice) if by == Some(voice.member) && self.role_of(node) != by => voice.frame,
            Some(_) | None => self.frame_of(node),
        }
    }
}
