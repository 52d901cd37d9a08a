use super::*;
use crate::store::MemoryStore;

fn user(name: &str) -> UserId {
    UserId::new(name)
}

fn policies(store: &Arc<MemoryStore>) -> Policies {
    Policies::new(&BuiltInSettings::default(), store.clone())
}

fn bobs(who: api::WhoMayCall) -> api::UserPolicy {
    api::UserPolicy {
        user_id: "bob".into(),
        who_may_call: who.into(),
        blocked_user_ids: vec!["mallory".into(), "trudy".into()],
        contact_user_ids: vec!["carol".into(), "trudy".into()],
        followed_user_ids: vec!["frank".into()],
        ..Default::default()
    }
}

#[tokio::test]
async fn the_table_of_who_may_call_whom() {
    use api::WhoMayCall as May;
    const HIDDEN: Verdict = Verdict::DenyHidden;
    const DENY: Verdict = Verdict::Deny;
    const RING: Verdict = Verdict::Ring;
    const SILENT: Verdict = Verdict::Silent;
    let callers = ["mallory", "trudy", "carol", "frank", "stranger"];
    let table = [
        (May::Everyone, false, [HIDDEN, HIDDEN, RING, RING, RING]),
        (May::Everyone, true, [HIDDEN, HIDDEN, RING, RING, SILENT]),
        (May::Followed, false, [HIDDEN, HIDDEN, DENY, RING, DENY]),
        (May::Followed, true, [HIDDEN, HIDDEN, DENY, RING, DENY]),
        (May::Contacts, false, [HIDDEN, HIDDEN, RING, DENY, DENY]),
        (May::Nobody, false, [HIDDEN, HIDDEN, DENY, DENY, DENY]),
        (May::Nobody, true, [HIDDEN, HIDDEN, DENY, DENY, DENY]),
        // Says nothing: the settings' default, which is everyone.
        (May::Unspecified, true, [HIDDEN, HIDDEN, RING, RING, SILENT]),
    ];
    let policies = policies(&Arc::default());
    for (who, silence_unknown, verdicts) in table {
        policies.put(api::UserPolicy { silence_unknown, ..bobs(who) }).await.unwrap();
        for (caller, verdict) in callers.into_iter().zip(verdicts) {
            let said = policies.ask(&user(caller), &user("bob")).await.unwrap();
            assert_eq!(said.verdict, verdict, "{caller} calls; {who:?}, silence unknown: {silence_unknown}");
        }
    }
}

#[tokio::test]
async fn somebody_of_whom_nothing_is_known_gets_the_default_of_the_settings() {
    let store = Arc::new(MemoryStore::new());
    let said = policies(&store).ask(&user("alice"), &user("nobody-knows")).await.unwrap();
    assert_eq!(said, Said { verdict: Verdict::Ring, hide_busy: false });
    let strict = BuiltInSettings { who_may_call: Who::Nobody, ..Default::default() };
    let said = Policies::new(&strict, store).ask(&user("alice"), &user("nobody-knows")).await.unwrap();
    assert_eq!(said.verdict, Verdict::Deny);
}

#[tokio::test]
async fn a_policy_counts_from_the_next_call_on_and_outlives_the_process() {
    let store = Arc::new(MemoryStore::new());
    let before = policies(&store);
    let ring = before.ask(&user("mallory"), &user("bob")).await.unwrap();
    assert_eq!(ring.verdict, Verdict::Ring, "nothing put yet");
    let put = api::UserPolicy { hide_busy: true, ..bobs(api::WhoMayCall::Everyone) };
    before.put(put.clone()).await.unwrap();
    for policies in [before, policies(&store)] {
        let said = policies.ask(&user("mallory"), &user("bob")).await.unwrap();
        assert_eq!(said, Said { verdict: Verdict::DenyHidden, hide_busy: true });
        assert_eq!(policies.get(&user("bob")).await.unwrap(), Some(put.clone()));
        assert_eq!(policies.get(&user("carol")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_reader_that_was_overtaken_brings_no_old_policy_back() {
    let store = Arc::new(MemoryStore::new());
    let policies = policies(&store);
    policies.put(bobs(api::WhoMayCall::Everyone)).await.unwrap();
    let (old, revision) = policies.read("bob").await.unwrap().unwrap();
    policies.put(bobs(api::WhoMayCall::Nobody)).await.unwrap();
    policies.keep(&user("bob"), policies.compile(old, revision));
    policies.keep(&user("bob"), policies.absent());
    let said = policies.ask(&user("carol"), &user("bob")).await.unwrap();
    assert_eq!(said.verdict, Verdict::Deny);
}

#[tokio::test]
async fn what_is_wrong_with_a_policy_is_named() {
    let policies = policies(&Arc::default());
    let good = bobs(api::WhoMayCall::Everyone);
    let cases = [
        (api::UserPolicy { user_id: "b/ob".into(), ..good.clone() }, "policy.user_id"),
        (api::UserPolicy { who_may_call: 9, ..good.clone() }, "policy.who_may_call"),
        (
            api::UserPolicy { blocked_user_ids: vec!["ok".into(), String::new()], ..good.clone() },
            "policy.blocked_user_ids",
        ),
        (
            api::UserPolicy { contact_user_ids: vec!["a".into(); 10_001], ..good.clone() },
            "policy.contact_user_ids",
        ),
    ];
    for (policy, expected) in cases {
        match policies.put(policy).await {
            Err(Trouble::Invalid { field, .. }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert_eq!(policies.get(&user("bob")).await.unwrap(), None, "nothing was written");
}

#[tokio::test]
async fn memory_for_policies_is_bounded_in_bytes() {
    let settings = BuiltInSettings { cache_bytes: 100_000, ..Default::default() };
    let policies = Policies::new(&settings, Arc::new(MemoryStore::new()));
    for number in 0..100 {
        let contact_user_ids = (0..200).map(|other| format!("contact-{other}")).collect();
        let policy =
            api::UserPolicy { user_id: format!("user{number}"), contact_user_ids, ..Default::default() };
        policies.put(policy).await.unwrap();
    }
    policies.cache.run_pending_tasks();
    assert!(policies.cache.weighted_size() <= 100_000, "{}", policies.cache.weighted_size());
}
