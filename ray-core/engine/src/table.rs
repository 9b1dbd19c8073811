//! A map from numbers that count up, as the indexes of an owner do, to what is known of each.
//!
//! Neighbours lie side by side in pages, so that working through calls in the order of their submission
//! walks through memory instead of jumping about in it, and growing moves nothing. A page goes when its
//! last entry goes: entries that outlive their neighbours cost a page each at worst.

use rustc_hash::FxHashMap;

/// Entries of a page.
const PAGE: u64 = 32;
/// Empty pages that are kept for the next numbers.
const SPARE_PAGES: usize = 16;

struct Page<T> {
    slots: Box<[Option<T>]>,
    used: u32,
}

impl<T> Page<T> {
    fn new() -> Page<T> {
        Page {
            slots: (0..PAGE).map(|_| None).collect(),
            used: 0,
        }
    }
}

/// A map whose keys mostly count up.
pub struct Table<T> {
    pages: FxHashMap<u64, Page<T>>,
    spare: Vec<Page<T>>,
    len: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table {
            pages: FxHashMap::default(),
            spare: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Table<T> {
    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets the entry of `index`; returns the one that it had.
    pub fn insert(&mut self, index: u64, value: T) -> Option<T> {
        let spare = &mut self.spare;
        let page = self
            .pages
            .entry(index / PAGE)
            .or_insert_with(|| spare.pop().unwrap_or_else(Page::new));
        let before = page.slots[(index % PAGE) as usize].replace(value);
        let is_new = before.is_none();
        page.used += u32::from(is_new);
        self.len += usize::from(is_new);
        before
    }

    /// Returns the entry of `index`.
    pub fn get(&self, index: u64) -> Option<&T> {
        self.pages.get(&(index / PAGE))?.slots[(index % PAGE) as usize].as_ref()
    }

    /// Returns the entry of `index` for a change.
    pub fn get_mut(&mut self, index: u64) -> Option<&mut T> {
        self.pages.get_mut(&(index / PAGE))?.slots[(index % PAGE) as usize].as_mut()
    }

    /// Returns whether `index` has an entry.
    pub fn contains(&self, index: u64) -> bool {
        self.get(index).is_some()
    }

    /// Takes the entry of `index` out.
    pub fn remove(&mut self, index: u64) -> Option<T> {
        let number = index / PAGE;
        let page = self.pages.get_mut(&number)?;
        let value = page.slots[(index % PAGE) as usize].take()?;
        page.used -= 1;
        self.len -= 1;
        if page.used == 0
            && let Some(page) = self.pages.remove(&number)
            && self.spare.len() < SPARE_PAGES
        {
            self.spare.push(page);
        }
        Some(value)
    }

    /// Returns the indexes that have entries, in order.
    pub fn indexes(&self) -> Vec<u64> {
        let mut found: Vec<u64> = self.iter().map(|(index, _)| index).collect();
        found.sort_unstable();
        found
    }

    /// Returns all entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.pages.iter().flat_map(|(number, page)| {
            let slots = (number * PAGE..).zip(&page.slots);
            slots.filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
        })
    }

    /// Returns all entries for a change, in no order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut T)> {
        self.pages.iter_mut().flat_map(|(number, page)| {
            let slots = (number * PAGE..).zip(&mut page.slots);
            slots.filter_map(|(index, slot)| Some((index, slot.as_mut()?)))
        })
    }

    /// Takes everything out, in no order.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        self.len = 0;
        let pages = std::mem::take(&mut self.pages);
        pages
            .into_values()
            .flat_map(|page| page.slots.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A small generator of its own: the engine draws nothing.
    fn next(state: &mut u64) -> u64 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        *state >> 33
    }

    #[test]
    fn it_does_what_a_map_does() {
        let mut table = Table::default();
        let mut map = BTreeMap::new();
        let mut state = 7;
        for step in 0..20_000_u64 {
            let index = next(&mut state) % 3000;
            match next(&mut state) % 3 {
                0 => assert_eq!(table.insert(index, step), map.insert(index, step)),
                1 => assert_eq!(table.remove(index), map.remove(&index)),
                _ => {
                    if let Some(value) = table.get_mut(index) {
                        *value += 1;
                    }
                    if let Some(value) = map.get_mut(&index) {
                        *value += 1;
                    }
                }
            }
            assert_eq!(table.get(index), map.get(&index));
            assert_eq!(table.len(), map.len());
        }
        assert_eq!(table.indexes(), map.keys().copied().collect::<Vec<_>>());
        let mut left: Vec<u64> = table.drain().collect();
        left.sort_unstable();
        let mut expected: Vec<u64> = map.into_values().collect();
        expected.sort_unstable();
        assert_eq!(left, expected);
        assert!(table.is_empty());
    }

    #[test]
    fn pages_go_with_their_last_entry() {
        let mut table = Table::default();
        for index in 0..100_000 {
            table.insert(index, ());
            if index >= 10 {
                table.remove(index - 10);
            }
        }
        assert!(table.pages.len() <= 2, "{} pages", table.pages.len());
        assert!(table.spare.len() <= SPARE_PAGES);
    }
}
