//! What may a session take over? The engine reads the earlier one and gives it to the scheduler as its [`Past`].

use std::{collections::BTreeMap, sync::Arc};

use super::{EngineError, Inner, prepare, replay::RecordedTools, toolbox::SessionTools};
use crate::{
    event::{Event, Point, Record},
    graph::Plan,
    schedule::Past,
    state::FoldError,
    team::{Model, ModelCatalog, Structured},
    turn::Toolbox,
    value::{Seq, SessionId},
};

impl Inner {
    /// What a session came to, up to record `upto` or as far as it has come now.
    pub(super) fn past(&self, session: SessionId, upto: Option<Seq>) -> Result<(Point, Arc<Past>), EngineError> {
        let mut records = self.store.read_all(session)?;
        records.truncate(upto.map_or(usize::MAX, |upto| upto.index() + 1));
        let Some(Record { event: Event::Started(started), .. }) = records.first() else { return Err(FoldError::NoStart.into()) };
        let at = records.last().map(|record| record.seq).unwrap_or_default();
        let judge = prepare::judge_of(&started.plan, &started.sources)?;
        let here = SessionTools::of(&self.tools, &started.plan)?;
        let tools: Arc<dyn Toolbox> = Arc::new(RecordedTools::of(&records, here)?);
        Ok((Point { session, at }, Arc::new(Past::of(&records, judge, tools)?)))
    }

    /// The same for a session that goes on: where the earlier one is gone by now, it does the rest anew.
    pub(super) fn past_if_there(&self, point: Point) -> Option<Arc<Past>> {
        match self.past(point.session, Some(point.at)) {
            Ok((_, past)) => Some(past),
            Err(error) => {
                tracing::warn!(%error, session = %point.session, "the session whose results were taken over cannot be read any more");
                None
            }
        }
    }
}

/// What is behind each name of a model in a plan that the catalog knows: whatever of it a reply may depend on.
pub(super) fn models(catalog: &ModelCatalog, plan: &Plan) -> BTreeMap<Arc<str>, Arc<str>> {
    let profiles = plan.teams.iter().flat_map(|team| team.members.iter().chain(&team.coordinator)).map(|member| &member.profile);
    let names = profiles.flat_map(|profile| std::iter::once(&profile.model).chain(&profile.fallback_models));
    let known = names.filter_map(|name| Some((name, catalog.model(name)?)));
    known.map(|(name, model)| (name.clone(), Arc::from(meant(catalog, &model)))).collect()
}

/// A model in words: `openai/gpt-5 at https://api.openai.com/v1 (openai, structured_output: finish)`.
fn meant(catalog: &ModelCatalog, model: &Model) -> String {
    let name = format!("{}/{}", model.provider, model.id);
    let Some(provider) = catalog.providers.get(&model.provider) else { return name };
    let (kind, url) = (provider.kind.name(), provider.base_url.as_deref().unwrap_or_else(|| provider.kind.base_url()));
    let structured = model.structured.map(|structured| match structured {
        Structured::Native => ", structured_output: native",
        Structured::Finish => ", structured_output: finish",
    });
    format!("{name} at {url} ({kind}{})", structured.unwrap_or_default())
}
