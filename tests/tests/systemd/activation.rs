//! The first call starts the daemon.

use crate::service::{KINDS, Service};

#[test]
fn the_first_call_starts_the_daemon_where_only_the_socket_is_enabled() {
    for kind in KINDS {
        let service = Service::installed(kind);
        service.systemctl("enable --now agentd.socket");
        assert_eq!(service.property("ActiveState"), "inactive");
        let said = service
            .machine
            .run(service.user(), "agentctl run -- echo hello");
        assert_eq!(said.ok().text(), "hello\n");
        assert_eq!(service.property("ActiveState"), "active");
        assert_eq!(service.property("Slice"), "agentd.slice");
        let pid = service.status()["pid"].to_string();
        assert_eq!(service.property("MainPID"), pid);
        // Nobody else was started beside it.
        assert_eq!(service.sh("pgrep -c -x agentd"), "1");

        // It is the service that is stopped: a call starts it again.
        service.systemctl("stop agentd.service");
        assert_eq!(service.property("ActiveState"), "inactive");
        assert_eq!(service.state(1), "succeeded");
        assert_ne!(service.property("MainPID"), pid);
    }
}
