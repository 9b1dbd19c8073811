//! What users of the macros meet: programs that compile, and the messages of those that do not.

/// One `TestCases` for all, so that they share one build of ray-core.
#[test]
fn macros_accept_their_forms_and_explain_what_they_refuse() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.pass("tests/ui/pass/*.rs");
}
