//! The machine of the tests itself.

use agentd_tests::machine::Machine;

#[test]
fn a_machine_keeps_its_disk_over_a_reboot_and_nothing_else() {
    let mut machine = Machine::boot();
    machine.add_user("ann");
    machine.write("/etc/kept", "kept\n", 0o640);
    machine.write("/run/lost", "", 0o644);
    let boot_id = "cat /proc/sys/kernel/random/boot_id";
    let first = machine.run("root", boot_id).ok();
    machine.reboot();
    let second = machine.run("root", boot_id).ok();
    assert_ne!(first.text(), second.text());
    let seen = machine.run(
        "root",
        "stat -c %a /etc/kept && cat /etc/kept && ls /run/lost",
    );
    assert_eq!(seen.text(), "640\nkept\n");
    assert_eq!(seen.code, 2);
    // A user is another one, whose manager is there again.
    machine.until("it is up", "ann", "systemctl --user is-active basic.target");
    assert_eq!(machine.run("ann", "cat /etc/kept").code, 1);
    machine.lose_power();
    let third = machine.run("root", boot_id).ok();
    assert_ne!(second.text(), third.text());
    let known = machine.journal("--list-boots");
    assert_eq!(known.lines().count(), 3, "{known}");
}
