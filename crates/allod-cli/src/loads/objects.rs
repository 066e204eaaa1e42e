//! Two programs that do little but make and drop small objects.

/// A big number: limbs of 32 bits, the least first, no zero at the top. Each
/// operation makes a new one, as programs written with a library of such do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Big(Vec<u32>);

impl Big {
    fn new(value: u64) -> Big {
        Big::trimmed(limbs(value).to_vec())
    }

    fn trimmed(mut limbs: Vec<u32>) -> Big {
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        limbs.shrink_to_fit();
        Big(limbs)
    }

    fn add(&self, other: &Big) -> Big {
        let count = self.0.len().max(other.0.len());
        let mut sum = Vec::with_capacity(count + 1);
        let mut carry = 0u64;
        for i in 0..count {
            let limb = |big: &Big| u64::from(big.0.get(i).copied().unwrap_or(0));
            carry += limb(self) + limb(other);
            sum.push(limbs(carry)[0]);
            carry >>= 32;
        }
        sum.push(limbs(carry)[0]);
        Big::trimmed(sum)
    }

    fn multiply(&self, other: &Big) -> Big {
        let mut product = vec![0u32; self.0.len() + other.0.len() + 1];
        for (i, left) in self.0.iter().enumerate() {
            let mut carry = 0u64;
            for (place, right) in product[i..].iter_mut().zip(other.0.iter().chain([&0])) {
                carry += u64::from(*place) + u64::from(*left) * u64::from(*right);
                *place = limbs(carry)[0];
                carry >>= 32;
            }
        }
        Big::trimmed(product)
    }
}

/// The two halves of a word, the lower first.
fn limbs(value: u64) -> [u32; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
    [value as u32, (value >> 32) as u32]
}

/// Continued fractions of the roots of `amount` numbers, with the convergents as
/// big numbers. Each is checked: p² − d·q² is what theory says, so a limb that
/// went astray is found.
pub(crate) fn fractions(amount: u64) -> u64 {
    const TERMS: u32 = 60;
    let mut sum = 0u64;
    for d in (1_000_003..).step_by(2).take(usize::try_from(amount).unwrap_or(0)) {
        let root = u64::isqrt(d);
        if root * root == d {
            continue;
        }
        // The term a, and (root of d + m) / q, whose integer part it is.
        let (mut m, mut q, mut a) = (0u64, 1u64, root);
        let (mut p_old, mut p) = (Big::new(1), Big::new(root));
        let (mut q_old, mut q_big) = (Big::new(0), Big::new(1));
        let number = Big::new(d);
        for term in 0..TERMS {
            m = a * q - m;
            q = (d - m * m) / q;
            a = (root + m) / q;
            let (left, right) = (p.multiply(&p), number.multiply(&q_big.multiply(&q_big)));
            // p² − d·q² is q with signs that alternate, the first of them negative.
            let rest = Big::new(q);
            let equal =
                if term % 2 == 0 { left.add(&rest) == right } else { left == right.add(&rest) };
            assert!(equal, "the fraction of the root of {d} at term {term}");
            let factor = Big::new(a);
            let next = p.multiply(&factor).add(&p_old);
            p_old = std::mem::replace(&mut p, next);
            let next = q_big.multiply(&factor).add(&q_old);
            q_old = std::mem::replace(&mut q_big, next);
        }
        let limb = p.0.first().copied().unwrap_or(0);
        sum = sum.wrapping_mul(31).wrapping_add(u64::from(limb) ^ q_old.0.len() as u64);
    }
    sum
}

/// A node with two children or none, some with a label of their own.
struct Node {
    children: Option<(Box<Node>, Box<Node>)>,
    label: Option<Box<[u8]>>,
}

impl Node {
    fn new(depth: u32, place: u64) -> Node {
        let label = place
            .is_multiple_of(3)
            .then(|| vec![limbs(place)[0].to_le_bytes()[0]; 8 + (place % 40) as usize].into());
        let child = |side: u64| Box::new(Node::new(depth - 1, place * 2 + side));
        Node { children: (depth > 0).then(|| (child(0), child(1))), label }
    }

    fn weigh(&self) -> u64 {
        let own = self.label.as_ref().map_or(1, |label| label.len() as u64 + u64::from(label[0]));
        self.children.as_ref().map_or(own, |(left, right)| own + left.weigh() + right.weigh())
    }
}

/// One tree lives all the time; beside it `amount` rounds of shorter ones of every
/// depth are built, weighed and dropped.
pub(crate) fn trees(amount: u64) -> u64 {
    const DEPTH: u32 = 16;
    let long = Node::new(DEPTH, 1);
    let mut sum = 0u64;
    for round in 0..amount {
        for depth in (4..=DEPTH - 2).step_by(2) {
            for tree in 0..1u64 << (DEPTH - depth).min(8) {
                sum = sum.wrapping_add(Node::new(depth, round ^ tree).weigh());
            }
        }
    }
    sum.wrapping_add(long.weigh())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_add_and_multiply_across_limbs() {
        let (a, b) = (Big::new(u64::MAX), Big::new(0xFFFF_FFFF));
        assert_eq!(a.add(&Big::new(1)), Big(vec![0, 0, 1]));
        assert_eq!(b.multiply(&b), Big::new(0xFFFF_FFFE_0000_0001));
        assert_eq!(a.multiply(&Big::new(0)), Big::new(0));
    }

    #[test]
    fn a_checksum_is_the_same_each_time() {
        assert_eq!(fractions(3), fractions(3));
        assert_ne!(fractions(3), fractions(4));
        assert_ne!(trees(1), trees(2));
    }
}
