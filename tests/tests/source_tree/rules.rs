//! The rules.

/// The rooms of the daemon, and those that each may use. A room that is not
/// named here is a fault, too.
pub(crate) const ROOMS: &[(&str, &[&str])] = &[
    ("task", &[]),
    ("file", &[]),
    ("spool", &["file", "task"]),
    ("transcript", &["task"]),
    ("process", &["task"]),
    ("config", &["task"]),
    ("clock", &["task"]),
    // Its macros are seen without being imported.
    ("failpoint", &[]),
    ("store", &["task"]),
    ("metrics", &["task"]),
    (
        "workspace",
        &["file", "task", "spool", "transcript", "config", "process"],
    ),
    (
        "agents",
        &[
            "file",
            "task",
            "spool",
            "transcript",
            "config",
            "process",
            "clock",
        ],
    ),
    ("forge", &["process"]),
    (
        "supervisor",
        &[
            "task",
            "spool",
            "transcript",
            "config",
            "process",
            "metrics",
        ],
    ),
    (
        "runner",
        &["task", "spool", "transcript", "process", "clock", "agents"],
    ),
    (
        "dispatcher",
        &[
            "task",
            "store",
            "supervisor",
            "workspace",
            "agents",
            "config",
            "forge",
            "clock",
            "spool",
            "metrics",
        ],
    ),
    ("request", &["task", "config", "workspace"]),
    (
        "cron",
        &["task", "config", "clock", "dispatcher", "request"],
    ),
    (
        "backup",
        &["file", "task", "store", "spool", "clock", "dispatcher"],
    ),
    ("reload", &["config", "dispatcher", "service"]),
    ("service", &["task", "spool", "clock", "dispatcher"]),
    ("host", &[]),
    (
        "scrape",
        &[
            "backup",
            "config",
            "dispatcher",
            "metrics",
            "process",
            "spool",
            "store",
            "task",
        ],
    ),
    (
        "retention",
        &[
            "task",
            "config",
            "store",
            "dispatcher",
            "workspace",
            "spool",
            "clock",
        ],
    ),
    (
        "notify",
        &[
            "task",
            "config",
            "store",
            "dispatcher",
            "agents",
            "process",
            "clock",
        ],
    ),
    (
        "diagnose",
        &[
            "backup",
            "config",
            "dispatcher",
            "file",
            "notify",
            "process",
            "retention",
            "spool",
            "store",
            "task",
            "workspace",
        ],
    ),
    (
        "rpc",
        &[
            "backup",
            "diagnose",
            "reload",
            "host",
            "metrics",
            "scrape",
            "retention",
            "notify",
            "agents",
            "dispatcher",
            "request",
            "workspace",
            "store",
            "transcript",
            "task",
            "supervisor",
            "config",
            "forge",
            "spool",
            "clock",
            "process",
        ],
    ),
];

/// Files of the crate's root that only wire rooms together.
pub(crate) const WIRING: &[&str] = &[
    "bin",
    "care",
    "cli",
    "fuzz",
    "lib",
    "lifecycle",
    "main",
    "telemetry",
];

/// Of some rooms only a part may be used: who, of whom, what.
pub(crate) const PARTS: &[(&str, &str, &[&str])] = &[
    (
        "rpc",
        "supervisor",
        &["Beat", "Outbox", "Report", "ToRunner", "Vitals"],
    ),
    ("notify", "agents", &["base_environment"]),
    ("notify", "process", &["tell"]),
    ("rpc", "notify", &["Notices", "Standing"]),
    (
        "rpc",
        "agents",
        &[
            "Login", "Survey", "Trouble", "Versions", "readable", "survey",
        ],
    ),
    ("rpc", "spool", &["StateDir"]),
    ("rpc", "metrics", &["Format"]),
    (
        "rpc",
        "process",
        &[
            "Containment",
            "Origin",
            "origin",
            "peer_groups",
            "start_ticks",
        ],
    ),
    (
        "rpc",
        "workspace",
        &[
            "Found",
            "RemoveError",
            "Terms",
            "WorkspaceError",
            "diff",
            "inspect",
            "locate_repo",
            "place_of",
            "remove",
            "restore",
            "worktrees",
        ],
    ),
    ("request", "workspace", &["locate_repo"]),
    (
        "rpc",
        "store",
        &[
            "COUNT_BOUND",
            "CopyError",
            "Filter",
            "JournalEntry",
            "Reader",
            "SessionFilter",
            "Store",
            "StoreError",
        ],
    ),
];

/// Where the messages of the interface may be named.
pub(crate) const PROTO: &[&str] = &[
    "rpc/",
    "runner/wire.rs",
    "runner/link.rs",
    "lifecycle.rs",
    // Where sockets may be.
    "service/listener.rs",
];

/// Longest file, lines.
pub(crate) const LINES: usize = 450;

/// Where a thread may sleep.
pub(crate) const SLEEPS: &[&str] = &["tests/src/wait.rs", "tests/src/torture/agent.rs"];
