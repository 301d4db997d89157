//! `agentctl shutdown` of a daemon that its manager starts again.

use crate::service::{KINDS, Service};

#[test]
fn whoever_ends_a_service_is_told_what_ends_it_for_good() {
    for kind in KINDS {
        let service = Service::enabled(kind);
        let tasks = service.three_agents();
        let first = service.property("MainPID");
        let said = service
            .machine
            .run(service.user(), "agentctl shutdown")
            .ok();
        assert!(said.stderr.contains("3 agents go on"), "{said:?}");
        assert!(said.stderr.contains("starts it again"), "{said:?}");
        assert!(said.stderr.contains("stop agentd"), "{said:?}");
        service.another_daemon(&first);
        service.finish(&tasks);
    }
}
