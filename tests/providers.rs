//! Do models of providers keep their contract? One suite, run for every kind against a server on loopback, and whole sessions.

#[path = "common/mod.rs"]
mod common;
#[path = "providers/kinds.rs"]
mod kinds;
#[path = "providers/server.rs"]
mod server;
#[path = "providers/sessions.rs"]
mod sessions;
#[path = "providers/suite.rs"]
mod suite;

macro_rules! conformance {
    ($($kind:ident),+ : $tests:tt) => { $(
        #[expect(non_snake_case, reason = "a module for each kind, named as the kind")]
        mod $kind { conformance!(@ $kind $tests); }
    )+ };
    (@ $kind:ident { $($test:ident),+ $(,)? }) => {
        $( #[tokio::test] async fn $test() { crate::suite::$test(crate::kinds::Kind::$kind).await; } )+
    };
}

conformance! { Openai, Responses, Anthropic, Gemini, Ollama: {
    a_plain_answer_comes_with_its_usage_and_cost,
    a_stream_is_read_however_it_is_cut,
    calls_of_a_turn_come_together_and_their_results_go_back,
    arguments_that_are_no_json_stay_as_they_are,
    a_reply_that_ran_into_its_limit_says_so,
    an_overloaded_provider_is_asked_again_under_the_same_key,
    a_stream_that_breaks_off_is_no_answer,
    an_error_in_the_stream_is_no_answer,
    a_refusal_is_final_and_has_the_providers_words,
    silence_before_the_first_word_ends_the_try,
    silence_after_a_word_ends_the_try,
    a_call_that_is_dropped_ends_its_request,
    parameters_are_sent_only_when_set,
    the_key_is_in_its_header_and_nowhere_else,
} }
