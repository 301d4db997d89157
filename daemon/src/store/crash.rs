//! Power cuts: what the disk may hold when the power goes, at every sync of
//! what the daemon does to its store, and again while that is being repaired.
//!
//! Between two syncs a disk may have done any part of what it was told, in any
//! order, and the last of it only in part. So at each sync images are made of
//! nothing, of all, and of random parts of what was pending. Every image must
//! open and hold exactly what was acknowledged, or the one commit more that was
//! under way; rows and indexes must agree.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use proptest::{
    prelude::RngExt as _,
    test_runner::{RngAlgorithm, TestRng},
};
use redb::{Builder, Database, ReadableTable as _, StorageBackend};

use super::{Batch, Entry, FORMAT, Filter, Store, StoreError, migrate, tables};
use crate::task::{
    event::{Event, What},
    id::{Revision, TaskId, Timestamp},
    moment,
    spec::Payload,
    state::{StateKind, Task},
    testing::{NONCE, claim, exited, named, registered, running, spec},
    transition::{Context, Decision, decide},
};

/// What a disk writes at once or not at all, bytes.
const SECTOR: usize = 512;
/// Random images at each sync, besides the two sure ones.
const IMAGES: usize = 4;

#[derive(Debug, Clone)]
enum Op {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Op {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                let end = at + data.len();
                to.resize(to.len().max(end), 0);
                to[*at..end].copy_from_slice(data);
            }
            Self::Length(length) => to.resize(*length, 0),
        }
    }
}

/// The disk at one moment: what is surely on it, and what may be.
#[derive(Debug, Clone)]
struct Moment {
    synced: Vec<u8>,
    pending: Vec<Op>,
    /// The last commit that had returned.
    acknowledged: Revision,
}

#[derive(Debug, Default)]
struct Inner {
    now: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Op>,
    acknowledged: Revision,
    moments: Vec<Moment>,
}

/// A disk that remembers what it was told between syncs.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    fn holding(image: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            now: image.clone(),
            synced: image,
            ..Inner::default()
        })))
    }

    fn acknowledge(&self, revision: Revision) {
        self.0.lock().unwrap().acknowledged = revision;
    }

    fn moments(&self) -> Vec<Moment> {
        std::mem::take(&mut self.0.lock().unwrap().moments)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.0.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        let data = inner.now.get(at..at + out.len());
        out.copy_from_slice(data.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let op = Op::Length(usize::try_from(length).unwrap());
        let mut inner = self.0.lock().unwrap();
        op.apply(&mut inner.now);
        inner.pending.push(op);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let moment = Moment {
            synced: inner.synced.clone(),
            pending: std::mem::take(&mut inner.pending),
            acknowledged: inner.acknowledged,
        };
        inner.moments.push(moment);
        inner.synced = inner.now.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let op = Op::Write(usize::try_from(offset).unwrap(), data.to_vec());
        let mut inner = self.0.lock().unwrap();
        op.apply(&mut inner.now);
        inner.pending.push(op);
        Ok(())
    }
}

impl Moment {
    fn images(&self, random: &mut TestRng) -> Vec<Vec<u8>> {
        let whole = |ops: &[Op]| {
            let mut image = self.synced.clone();
            ops.iter().for_each(|op| op.apply(&mut image));
            image
        };
        let mut images = vec![self.synced.clone(), whole(&self.pending)];
        for _ in 0..IMAGES {
            let mut some: Vec<Op> = self.pending.clone();
            some.retain(|_| random.random());
            for index in (1..some.len()).rev() {
                some.swap(index, random.random_range(0..=index));
            }
            if let Some(Op::Write(_, data)) = some.last_mut() {
                let sectors = random.random_range(0..=data.len() / SECTOR);
                data.truncate(sectors * SECTOR);
            }
            images.push(whole(&some));
        }
        images
    }
}

fn open(disk: &Disk) -> Result<Store, StoreError> {
    let db = Builder::new()
        .set_cache_size(1 << 20)
        .create_with_backend(disk.clone())?;
    migrate::format(&db)?;
    Ok(Store {
        commits: Arc::default(),
        db: std::sync::RwLock::new(Some(db)),
        path: "on a disk of the test".into(),
        cache: 1 << 20,
    })
}

/// What the store held after each commit.
type History = BTreeMap<Revision, Vec<Task>>;

fn tasks(store: &Store) -> Vec<Task> {
    let listing = store
        .reader()
        .unwrap()
        .list(&Filter::default(), None, 1_000);
    listing.unwrap().tasks
}

fn commit(store: &Store, disk: &Disk, history: &mut History, act: impl FnOnce(&mut Batch)) {
    let mut batch = store.begin().unwrap();
    act(&mut batch);
    let revision = batch.commit().unwrap();
    disk.acknowledge(revision);
    history.insert(revision, tasks(store));
}

const ENTRY: Entry<'_> = Entry {
    at: Timestamp(1),
    what: What::Claimed,
    why: "",
};

fn change(batch: &mut Batch, task: &mut Task, event: &Event) {
    let context = Context {
        now: moment::Moment::of_wall(Timestamp(5)),
        random: 3,
    };
    let Decision::Apply(change) = decide(task, event, context) else {
        panic!("{event:?} changes nothing");
    };
    let mut next = change.next;
    batch.put(Some(task), &mut next, &ENTRY).unwrap();
    *task = next;
}

/// Submits, claims, registers and finishes a few tasks.
fn live(store: &Store, disk: &Disk, history: &mut History) {
    for number in 1..=2 {
        let mut spec = spec("shell");
        spec.issue = Some("7".to_owned());
        spec.request_id = Some(format!("r{number}"));
        let mut task = None;
        commit(store, disk, history, |batch| {
            let payload = Payload {
                prompt: "x".repeat(3_000),
                command: vec![],
            };
            let mut new = batch.insert(spec, &payload, [9; 32], &ENTRY).unwrap();
            change(batch, &mut new, &claim(NONCE));
            task = Some(new);
        });
        let mut task = task.unwrap();
        let me = named(number, 1, NONCE);
        for event in [registered(me, running()), exited(me, 0)] {
            commit(store, disk, history, |batch| {
                change(batch, &mut task, &event)
            });
        }
    }
}

/// Rows, indexes and the journal agree, and hold what they held at a commit.
fn check(store: &Store, acknowledged: Revision, history: &History) {
    let reader = store.reader().unwrap();
    let revision = reader.revision().unwrap();
    let next = history
        .range(acknowledged..)
        .nth(1)
        .map(|(revision, _)| *revision);
    assert!(
        revision == acknowledged || Some(revision) == next,
        "{revision} after {acknowledged} was acknowledged"
    );
    let found = tasks(store);
    assert_eq!(found, history.get(&revision).cloned().unwrap_or_default());
    let journal = reader.events(Revision(0), None, 1_000).unwrap();
    let revisions: Vec<u64> = journal.iter().map(|entry| entry.revision.0).collect();
    assert_eq!(revisions, (1..=revision.0).collect::<Vec<_>>());
    for kind in StateKind::ALL {
        let filter = Filter {
            states: vec![kind],
            ..Filter::default()
        };
        let indexed = reader.list(&filter, None, 1_000).unwrap().tasks;
        let of_kind = found.iter().filter(|task| task.state.kind() == kind);
        assert!(indexed.iter().eq(of_kind), "index of {kind:?}");
    }
    for task in &found {
        let head = reader.key_head(&task.spec.key().unwrap()).unwrap();
        let active = found.iter().rev().find(|task| task.state.is_active());
        assert_eq!(head, active.map(|task| task.id));
        assert!(reader.payload(task.id).unwrap().is_some());
    }
    // It can be written, and gives out no number twice.
    let batch = store.begin().unwrap();
    let newest = found.first().map_or(0, |task| task.id.get());
    assert_eq!(Some(batch.next_task()), TaskId::new(newest + 1));
}

fn random() -> TestRng {
    TestRng::deterministic_rng(RngAlgorithm::ChaCha)
}

#[test]
fn every_power_cut_leaves_what_was_acknowledged() {
    let disk = Disk::default();
    let db = Builder::new().create_with_backend(disk.clone()).unwrap();
    migrate::initialise(&db, FORMAT).unwrap();
    drop(db);
    disk.moments();
    let mut history = History::from([(Revision(0), vec![])]);
    let store = open(&disk).unwrap();
    live(&store, &disk, &mut history);
    drop(store);
    let mut random = random();
    let (mut images, mut again) = (0, 0);
    for moment in disk.moments() {
        for image in moment.images(&mut random) {
            images += 1;
            let disk = Disk::holding(image);
            let store = open(&disk).unwrap();
            check(&store, moment.acknowledged, &history);
            drop(store);
            // The power goes again while the first cut is being repaired.
            let repairs = disk.moments();
            for repair in repairs.into_iter().filter(|_| images % 3 == 0) {
                for image in repair.images(&mut random).into_iter().take(3) {
                    again += 1;
                    let store = open(&Disk::holding(image)).unwrap();
                    check(&store, moment.acknowledged, &history);
                }
            }
        }
    }
    assert!(
        images > 100 && again > 100,
        "{images} images, {again} of repairs"
    );
}

#[test]
fn a_power_cut_in_a_migration_leaves_the_old_format_or_the_new() {
    let disk = Disk::default();
    let db = Builder::new().create_with_backend(disk.clone()).unwrap();
    migrate::initialise(&db, 1).unwrap();
    disk.moments();
    migrate::run(
        &db,
        1,
        2,
        &[|transaction| {
            for name in ["a", "b"] {
                transaction.open_table(tables::PAUSED)?.insert(name, ())?;
            }
            Ok(())
        }],
    )
    .unwrap();
    drop(db);
    let mut random = random();
    let mut seen = std::collections::BTreeSet::new();
    for moment in disk.moments() {
        for image in moment.images(&mut random) {
            let db = Builder::new()
                .create_with_backend(Disk::holding(image))
                .unwrap();
            let rows = marks(&db);
            let format = migrate::format(&db).unwrap();
            assert!((format, rows) == (1, 0) || (format, rows) == (2, 2));
            seen.insert(format);
        }
    }
    assert_eq!(seen.len(), 2);
}

fn marks(db: &Database) -> usize {
    use redb::ReadableDatabase as _;
    let read = db.begin_read().unwrap();
    let table = read.open_table(tables::PAUSED).unwrap();
    table.iter().unwrap().count()
}
