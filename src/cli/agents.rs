//! `synod agents`: who is there, and who can do what?

use clap::Args;
use serde::Serialize;

use super::{Exit, Global, Outcome, output};
use crate::{
    engine::library_files,
    team::LoadedProfile,
    value::{Profile, ProfileRole},
};

/// List agents and search them by skill
///
/// Shipped profiles, and those of the files and folders that are named. All words must be found in an agent's name, role,
/// specialization, skills, description or tags.
#[derive(Debug, Args)]
pub(super) struct Agents {
    /// Words to search for
    words: Vec<String>,
    /// Only agents with this skill
    #[arg(long, value_name = "SKILL")]
    skill: Vec<String>,
    /// Look at these profile files as well
    #[arg(long = "from", value_name = "FILE")]
    from: Vec<String>,
}

/// An agent as `--json` prints it.
#[derive(Serialize)]
struct Row {
    profile: String,
    name: String,
    role: ProfileRole,
    specialization: Option<String>,
    description: Option<String>,
    skills: Vec<String>,
    model: String,
    tools: Vec<String>,
    mcp_servers: Vec<String>,
    tags: Vec<String>,
    is_active: bool,
    is_public: bool,
}

impl Agents {
    pub(super) fn run(&self, global: &Global) -> Outcome {
        let engine = global.bare_engine()?;
        let mut names: Vec<String> = library_files()
            .into_iter()
            .map(|f| f.name())
            .filter(|n| n.starts_with("profiles/"))
            .map(|n| format!("lib:{n}"))
            .collect();
        names.extend(self.from.iter().cloned());
        let mut rows = Vec::new();
        for name in names {
            match engine.profile(&name) {
                Ok(loaded) => rows.push(shown(&name, &loaded)),
                Err(found) => {
                    output::diagnostics(&found);
                    return Err(super::CommandError::Invalid);
                }
            }
        }
        rows.retain(|row| self.wants(row));
        if global.json {
            output::json(&rows)?;
            return Ok(Exit::Done);
        }
        let mut table = vec![["PROFILE", "NAME", "ROLE", "SKILLS", "DESCRIPTION"].map(str::to_owned).to_vec()];
        for row in rows {
            let role = serde_json::to_value(row.role).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
            let role = row.specialization.map_or(role.clone(), |s| format!("{role}, {s}"));
            table.push(vec![row.profile, row.name, role, row.skills.join(" "), row.description.unwrap_or_default()]);
        }
        output::text(&output::table(&table))?;
        Ok(Exit::Done)
    }

    fn wants(&self, row: &Row) -> bool {
        let all = [
            row.profile.as_str(),
            &row.name,
            row.specialization.as_deref().unwrap_or_default(),
            row.description.as_deref().unwrap_or_default(),
            &row.skills.join(" "),
            &row.tags.join(" "),
        ]
        .join(" ")
        .to_lowercase();
        let skilled = self.skill.iter().all(|skill| row.skills.iter().any(|s| s.eq_ignore_ascii_case(skill)));
        skilled && self.words.iter().all(|word| all.contains(&word.to_lowercase()))
    }
}

fn shown(name: &str, loaded: &LoadedProfile) -> Row {
    let profile: &Profile = &loaded.profile;
    let texts = |list: &[std::sync::Arc<str>]| list.iter().map(ToString::to_string).collect();
    Row {
        profile: name.trim_start_matches("lib:").trim_end_matches(".yaml").to_owned(),
        name: profile.name.to_string(),
        role: profile.role,
        specialization: profile.specialization.as_ref().map(ToString::to_string),
        description: profile.description.as_ref().map(ToString::to_string),
        skills: texts(&profile.skills),
        model: profile.model.to_string(),
        tools: texts(&profile.allowed_tools),
        mcp_servers: texts(&profile.mcp_servers),
        tags: texts(&profile.tags),
        is_active: loaded.is_active,
        is_public: loaded.is_public,
    }
}
