//! The real agents in a sandbox: they work as they do without.

use std::fs;

use agentd_tests::model::{Reply, Script};

use crate::{kind::AGENTS, shop::Shop};

#[test]
fn they_work_and_go_on_in_a_sandbox_and_write_nowhere_else() {
    for agent in AGENTS {
        // Not in /tmp, where they may write.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let outside = dir.path().join("home/outside");
        let escape = format!("echo x >{0} || echo kept >in", outside.display());
        let commit = "git add . && git commit -qm mended";
        let shop = Shop::sandboxed(
            Script::new([
                Reply::shell(format!("{escape}; echo new >new.txt; {commit}")),
                Reply::error(401),
            ]),
            dir.path(),
        );
        let task = shop.submit(agent, &["mend it"]);
        let shown = shop.ended(task);
        assert_eq!(shown["failure_reason"], "auth_failed", "{shown:#}");
        let session = shop.session(task);
        let branches = shop
            .repo
            .git(&["branch", "--list", "agent/*", "--format=%(refname)"]);
        let file = |name| {
            shop.repo
                .git(&["show", &format!("{}:{name}", branches.trim())])
        };
        assert_eq!((&*file("new.txt"), &*file("in")), ("new\n", "kept\n"));
        assert!(!outside.exists(), "{agent} wrote {}", outside.display());

        shop.endpoint
            .set_script(Script::new([Reply::text("mended")]));
        let again = shop.rerun(task, &[]);
        let shown = shop.well(again);
        assert_eq!(shown["attempt"]["session"], session.as_str(), "{shown:#}");
        assert!(fs::exists(agent.file(&dir.path().join("home"), &session)).unwrap());
    }
}
