//! What an attempt did to its workspace.

use agentd_proto::v1;

use super::Page;

impl Page {
    /// What the attempt did to its workspace, and what it left there.
    pub(super) fn changes(&mut self, changes: &v1::Changes) {
        self.field("changes", &changes_text(changes));
        let mut left = Vec::new();
        for (number, what) in [
            (changes.uncommitted, "not committed"),
            (changes.conflicts, "with a conflict"),
        ] {
            if number > 0 {
                left.push(format!("{} {what}", counted(number, "file", "files")));
            }
        }
        if let Some(unpushed) = changes.unpushed.filter(|&number| number > 0) {
            let commits = counted(unpushed, "commit", "commits");
            left.push(format!("{commits} not pushed"));
        }
        self.field("left", &left.join(", "));
        self.field("recorded", &changes.recorded);
        self.field("not recorded", &changes.left_out);
    }
}

/// `1 commit, 3 files`; `no changes`.
fn changes_text(changes: &v1::Changes) -> String {
    if changes.none {
        return "no changes".to_owned();
    }
    let commits = counted(changes.commits, "commit", "commits");
    let files = counted(changes.files, "file", "files");
    format!("{commits}, {files}")
}

fn counted(number: u32, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
