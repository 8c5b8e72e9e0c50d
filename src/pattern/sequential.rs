//! `sequential`: a relay. One member after another, by priority unless the `handoff` rule says otherwise.

use super::{Fragment, make::Make, missing, result::roles};
use crate::team::{Code, Diagnostic, Team, What};

pub(super) fn expand(team: &Team) -> Result<Fragment, Vec<Diagnostic>> {
    let errors = check(team);
    if !errors.is_empty() {
        return Err(errors);
    }
    let make = Make::of(team);
    let relay = make.node("relay", What::Relay { members: roles(team), max_handoffs: team.coordination.max_handoffs });
    Ok(Fragment { nodes: vec![relay], output: Some(make.text("relay.output")) })
}

fn check(team: &Team) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let place = super::place_of(team);
    if team.members.is_empty() {
        errors.push(missing(
            team,
            "member_agents",
            "somebody must do the work",
            "add `member_agents: [{ agent: PROFILE, role: ID }]`",
        ));
    }
    if !team.coordination.validate.is_empty() {
        let message = "a `sequential` team has no proposal to validate: its result is the last member's";
        errors.push(
            Diagnostic::error(Code::InvalidValue, &place, message).help("let a last member check the work, or take `parallel`"),
        );
    }
    if team.coordination.quorum.is_some() {
        let message = "a `sequential` team has no quorum: one member follows another";
        errors
            .push(Diagnostic::error(Code::InvalidValue, &place, message).help("write `wait_for_all: true`, or take `parallel`"));
    }
    if team.coordination.deadline.is_some() {
        let message = "a `sequential` team has no deadline for the work of all: one member follows another";
        let help = "limit each with `timeout_per_agent_seconds`, or all with `limits: { wall_seconds: N }`";
        errors.push(Diagnostic::error(Code::InvalidValue, &place, message).help(help));
    }
    errors
}
