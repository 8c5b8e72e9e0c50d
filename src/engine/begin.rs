//! How does a session begin, and how does it go on? Whoever starts one, alone or among thousands, comes through here.

use std::sync::Arc;

use super::{Engine, EngineError, Inner, Prepared, SessionHandle, blocking, claimed::Claimed, drive, prepare, record, reuse};
use crate::{
    event::Started,
    model::Models,
    schedule::Scheduler,
    state::State,
    store::NewSession,
    tool::Roots,
    value::{Map, SessionId},
};

use super::toolbox::SessionTools;

/// A session to be begun.
pub(super) struct Beginning<'t> {
    /// Its id, which nobody has used.
    pub(super) session: SessionId,
    /// What is to be done.
    pub(super) task: &'t str,
    /// The inputs, defaults filled in and without secrets.
    pub(super) inputs: Map,
    /// The session whose results it may take over.
    pub(super) earlier: Option<SessionId>,
}

/// Who works in a session, and on what. Sessions of one team on the same folders may share it.
#[derive(Clone)]
pub(super) struct Crew {
    roots: Arc<Roots>,
    models: Models,
    tools: Arc<SessionTools>,
}

impl Inner {
    /// The crew of a session of `team` on these inputs.
    pub(super) async fn crew(&self, team: &Prepared, inputs: &Map) -> Result<Crew, EngineError> {
        let roots = self.session_roots(&team.plan, inputs)?;
        let models = self.session_models(&team.plan, &team.sources)?;
        let tools = self.session_tools(&team.plan, &roots).await?;
        Ok(Crew { roots, models, tools })
    }
}

impl Engine {
    /// Begins a session, under `claim` where its row stands already but nothing else does.
    pub(super) async fn begin_with(
        &self,
        team: &Prepared,
        beginning: Beginning<'_>,
        crew: Crew,
        claim: Option<Claimed>,
    ) -> Result<SessionHandle, EngineError> {
        let Beginning { session, task, inputs, earlier } = beginning;
        let records = if record::are_used(&team.plan) {
            let (inner, name) = (self.inner.clone(), team.name.clone());
            blocking(move || record::track_records(&inner, &name)).await??
        } else {
            Vec::new()
        };
        let inner = self.inner.clone();
        let past = match earlier {
            Some(earlier) => Some(blocking(move || inner.past(earlier, None)).await??),
            None => None,
        };
        let (reuse, past) = past.unzip();
        let at = self.inner.clock.now();
        let task = self.inner.env.redactor().text(task);
        let started = Started {
            tenant: self.inner.tenant.clone(),
            sources: team.sources.clone(),
            records,
            models: reuse::models(&self.inner.catalog, &team.plan),
            reuse,
            ..Started::new(session, team.name.clone(), task, inputs, team.plan.clone())
        };
        let claim = if let Some(claim) = claim {
            claim
        } else {
            let new = NewSession {
                session,
                tenant: started.tenant.clone(),
                team: started.team.clone(),
                task: started.task.clone(),
                started_at: at,
            };
            let store = self.inner.store.clone();
            blocking(move || Claimed::create(store, new)).await??
        };
        let (scheduler, step) = Scheduler::start_reusing(at, started, team.judge.clone(), crew.tools.clone(), past)?;
        let means = self.inner.means(crew.tools, crew.roots, crew.models);
        Ok(drive::spawn(self.inner.clone(), session, claim, scheduler, drive::First::Step(step), means))
    }

    /// Goes on with a session from the state that its records make.
    pub(super) async fn go_on(&self, claim: Claimed, state: State) -> Result<SessionHandle, EngineError> {
        let session = state.started.session;
        let judge = prepare::judge_of(&state.started.plan, &state.started.sources)?;
        let roots = self.inner.session_roots(&state.started.plan, &state.started.inputs)?;
        let models = self.inner.session_models(&state.started.plan, &state.started.sources)?;
        let tools = self.inner.session_tools(&state.started.plan, &roots).await?;
        let epoch = claim.epoch();
        let inner = self.inner.clone();
        let reuse = state.started.reuse.filter(|_| state.finished.is_none());
        let past = blocking(move || reuse.and_then(|reuse| inner.past_if_there(reuse))).await?;
        let scheduler = Scheduler::resume(state, judge, tools.clone()).reusing(past);
        let means = self.inner.means(tools, roots, models);
        Ok(drive::spawn(self.inner.clone(), session, claim, scheduler, drive::First::Resume(epoch), means))
    }
}
