//! A small world of entities and components, without a heap.
//!
//! An entity is a key. Its components are in slabs of their own, one for each
//! sort, and what an entity has is in its record: keys again. Keys of different
//! slabs are different types, so a position is never looked up among the names;
//! and the key of an entity that is gone finds nothing, which is how a missile
//! notices that its target has been shot by another.
//!
//! ```text
//! cargo run -p allod-kit --example ecs
//! ```

use allod_kit::{FixedSlab, Full, Key, fixed};

/// Where something is, and how far it goes in a step.
struct Body {
    place: i32,
    speed: i32,
    owner: Key<Entity>,
}

/// Flies at something.
struct Missile {
    target: Key<Entity>,
}

/// What an entity has.
struct Entity {
    name: fixed::String<12>,
    body: Key<Body>,
    missile: Option<Key<Missile>>,
}

/// Everything there is, in less than three kilobytes, wherever it is put.
#[derive(Default)]
struct World {
    entities: FixedSlab<Entity, 32>,
    bodies: FixedSlab<Body, 32>,
    missiles: FixedSlab<Missile, 16>,
}

/// There is no room in the world.
#[derive(Debug)]
struct TooMany;

impl<T> From<Full<T>> for TooMany {
    fn from(_: Full<T>) -> Self {
        TooMany
    }
}

impl World {
    /// Puts something into the world, all of it or nothing.
    fn spawn(&mut self, name: &str, place: i32, speed: i32) -> Result<Key<Entity>, TooMany> {
        let name = fixed::String::try_from(name)?;
        // Entity and body name each other: the entity's key is known before the
        // entity is there.
        let entry = self.entities.vacant_entry()?;
        let owner = entry.key();
        let body = self.bodies.try_insert(Body { place, speed, owner })?;
        entry.insert(Entity { name, body, missile: None });
        Ok(owner)
    }

    fn fire(&mut self, from: i32, target: Key<Entity>) -> Result<Key<Entity>, TooMany> {
        let entity = self.spawn("missile", from, 0)?;
        let missile = self.missiles.try_insert(Missile { target })?;
        self.entities[entity].missile = Some(missile);
        Ok(entity)
    }

    fn remove(&mut self, entity: Key<Entity>) {
        if let Some(entity) = self.entities.remove(entity) {
            self.bodies.remove(entity.body);
            entity.missile.and_then(|missile| self.missiles.remove(missile));
        }
    }

    fn place_of(&self, entity: Key<Entity>) -> Option<i32> {
        Some(self.bodies.get(self.entities.get(entity)?.body)?.place)
    }

    /// One step of time. Returns how many were hit.
    fn step(&mut self) -> usize {
        for body in self.bodies.values_mut() {
            body.place += body.speed;
        }
        let mut gone: fixed::Vec<Key<Entity>, 32> = fixed::Vec::new();
        for (key, entity) in &self.entities {
            let Some(missile) = entity.missile.and_then(|key| self.missiles.get(key)) else {
                continue;
            };
            let here = self.bodies[entity.body].place;
            match self.place_of(missile.target) {
                Some(there) if here.abs_diff(there) <= 5 => {
                    // Two missiles may have the same target in the same step.
                    let _ = gone.try_push(key);
                    let _ = gone.try_push(missile.target);
                }
                Some(there) => self.bodies[entity.body].speed = 5 * (there - here).signum(),
                // Somebody else was faster.
                None => drop(gone.try_push(key)),
            }
        }
        let before = self.entities.len();
        for entity in gone {
            self.remove(entity);
        }
        before - self.entities.len()
    }
}

fn main() -> Result<(), TooMany> {
    let mut world = World::default();
    let ship = world.spawn("ship", 0, 1)?;
    let rock = world.spawn("rock", 60, -2)?;
    let far = world.spawn("far rock", 200, 0)?;
    world.fire(0, rock)?;
    world.fire(10, rock)?;
    world.fire(20, far)?;

    let mut steps = 0;
    while world.entities.len() > 1 {
        steps += 1;
        let hit = world.step();
        if hit > 0 {
            println!("step {steps}: {hit} are gone, {} are left", world.entities.len());
        }
    }
    let left = &world.entities[ship];
    println!("{} is alone at {}", left.name, world.bodies[left.body].place);

    assert!(size_of::<World>() < 3000);
    assert_eq!(world.place_of(ship), Some(steps));
    assert!(!world.entities.contains(rock) && !world.entities.contains(far));
    assert!(world.missiles.is_empty() && world.bodies.len() == 1);
    assert_eq!(world.bodies[left.body].owner, ship);
    Ok(())
}

#[test]
fn it_runs() {
    assert!(main().is_ok());
}
