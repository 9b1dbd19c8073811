//! Cells, the grid that holds them, and what the agent sees of it.

/// What a cell holds; the number is its code in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Object {
    /// Hidden from the agent.
    Unseen = 0,
    /// Nothing.
    Empty = 1,
    /// A wall.
    Wall = 2,
    /// A tile to walk over.
    Floor = 3,
    /// A door; its state is in the third number.
    Door = 4,
    /// A key, which opens locked doors of its colour.
    Key = 5,
    /// A ball.
    Ball = 6,
    /// A box.
    Box = 7,
    /// The goal.
    Goal = 8,
    /// Lava, which ends the episode.
    Lava = 9,
}

/// The colour of an object; the number is its code in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ObjectColor {
    Red = 0,
    Green = 1,
    Blue = 2,
    Purple = 3,
    Yellow = 4,
    Grey = 5,
}

impl ObjectColor {
    /// The colours in the order of their names, which is that of random draws.
    pub(super) const BY_NAME: [ObjectColor; 6] = [
        ObjectColor::Blue,
        ObjectColor::Green,
        ObjectColor::Grey,
        ObjectColor::Purple,
        ObjectColor::Red,
        ObjectColor::Yellow,
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            ObjectColor::Red => "red",
            ObjectColor::Green => "green",
            ObjectColor::Blue => "blue",
            ObjectColor::Purple => "purple",
            ObjectColor::Yellow => "yellow",
            ObjectColor::Grey => "grey",
        }
    }
}

/// Whether a door lets one through; every other object has [`DoorState::Open`], which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum DoorState {
    Open = 0,
    Closed = 1,
    Locked = 2,
}

/// One square of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is there.
    pub object: Object,
    /// Its colour; red, which is 0, for nothing.
    pub color: ObjectColor,
    /// The state of a door.
    pub state: DoorState,
}

impl Cell {
    /// Nothing.
    pub const EMPTY: Cell = Cell::new(Object::Empty, ObjectColor::Red);
    /// A wall.
    pub const WALL: Cell = Cell::new(Object::Wall, ObjectColor::Grey);
    /// The goal.
    pub const GOAL: Cell = Cell::new(Object::Goal, ObjectColor::Green);
    /// Lava.
    pub const LAVA: Cell = Cell::new(Object::Lava, ObjectColor::Red);

    /// Returns an object of a colour.
    pub const fn new(object: Object, color: ObjectColor) -> Cell {
        Cell {
            object,
            color,
            state: DoorState::Open,
        }
    }

    /// Returns a door of a colour.
    pub const fn door(color: ObjectColor, state: DoorState) -> Cell {
        Cell {
            object: Object::Door,
            color,
            state,
        }
    }

    /// Returns the three numbers of an image: object, colour, state.
    pub const fn encode(self) -> [u8; 3] {
        [self.object as u8, self.color as u8, self.state as u8]
    }

    /// Reads the three numbers; `None` where one means nothing.
    pub fn decode(code: [u8; 3]) -> Option<Cell> {
        const OBJECTS: [Object; 10] = [
            Object::Unseen,
            Object::Empty,
            Object::Wall,
            Object::Floor,
            Object::Door,
            Object::Key,
            Object::Ball,
            Object::Box,
            Object::Goal,
            Object::Lava,
        ];
        const COLORS: [ObjectColor; 6] = [
            ObjectColor::Red,
            ObjectColor::Green,
            ObjectColor::Blue,
            ObjectColor::Purple,
            ObjectColor::Yellow,
            ObjectColor::Grey,
        ];
        const STATES: [DoorState; 3] = [DoorState::Open, DoorState::Closed, DoorState::Locked];
        Some(Cell {
            object: *OBJECTS.get(usize::from(code[0]))?,
            color: *COLORS.get(usize::from(code[1]))?,
            state: *STATES.get(usize::from(code[2]))?,
        })
    }

    /// Returns whether the agent can stand there.
    pub fn can_overlap(self) -> bool {
        match self.object {
            Object::Empty | Object::Floor | Object::Goal | Object::Lava => true,
            Object::Door => self.state == DoorState::Open,
            _ => false,
        }
    }

    /// Returns whether the agent can carry it.
    pub fn can_pickup(self) -> bool {
        matches!(self.object, Object::Key | Object::Ball | Object::Box)
    }
}

/// A column and a row, from the top left; positions outside the grid are walls.
pub type Position = (i32, i32);

/// The columns and rows that one step forward adds: right, down, left, up.
pub(super) const DIRECTIONS: [Position; 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];

/// Cells across and down what the agent sees.
pub const VIEW: usize = 7;

/// What an agent sees: by column and row, the code of a cell.
pub type Image = [[[u8; 3]; VIEW]; VIEW];

/// A rectangle of cells with a margin of walls as wide as the agent sees, so that no view leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    width: i32,
    height: i32,
    cells: Vec<Cell>,
}

impl Grid {
    /// Makes an empty grid.
    pub fn new(width: i32, height: i32) -> Grid {
        let mut grid = Grid {
            width,
            height,
            cells: vec![Cell::WALL; ((width + 2 * MARGIN) * (height + 2 * MARGIN)) as usize],
        };
        grid.clear();
        grid
    }

    /// Empties every cell.
    pub fn clear(&mut self) {
        for y in 0..self.height {
            let start = self.offset((0, y));
            self.cells[start..start + self.width as usize].fill(Cell::EMPTY);
        }
    }

    /// Returns how many columns there are.
    pub fn width(&self) -> i32 {
        self.width
    }

    /// Returns how many rows there are.
    pub fn height(&self) -> i32 {
        self.height
    }

    /// Returns a cell; outside it is a wall.
    pub fn get(&self, at: Position) -> Cell {
        if self.contains(at) {
            self.cells[self.offset(at)]
        } else {
            Cell::WALL
        }
    }

    /// Puts something in a cell; outside it does nothing.
    pub fn set(&mut self, at: Position, cell: Cell) {
        if self.contains(at) {
            let offset = self.offset(at);
            self.cells[offset] = cell;
        }
    }

    /// Returns whether a position is in the grid.
    pub fn contains(&self, (x, y): Position) -> bool {
        (0..self.width).contains(&x) && (0..self.height).contains(&y)
    }

    /// Lays `length` cells from a position to the right.
    pub fn horizontal(&mut self, (x, y): Position, length: i32, cell: Cell) {
        for step in 0..length {
            self.set((x + step, y), cell);
        }
    }

    /// Lays `length` cells from a position downwards.
    pub fn vertical(&mut self, (x, y): Position, length: i32, cell: Cell) {
        for step in 0..length {
            self.set((x, y + step), cell);
        }
    }

    /// Lays walls around a rectangle.
    pub fn wall_rect(&mut self, (x, y): Position, width: i32, height: i32) {
        self.horizontal((x, y), width, Cell::WALL);
        self.horizontal((x, y + height - 1), width, Cell::WALL);
        self.vertical((x, y), height, Cell::WALL);
        self.vertical((x + width - 1, y), height, Cell::WALL);
    }

    /// Returns the image that an agent sees: itself in the middle of the last row, looking up.
    pub(super) fn view(
        &self,
        at: Position,
        direction: usize,
        carrying: Option<Cell>,
        sees_through_walls: bool,
    ) -> Image {
        let stride = self.stride() as isize;
        let (dx, dy) = DIRECTIONS[direction];
        let forward = dy as isize * stride + dx as isize;
        let right = dx as isize * stride - dy as isize;
        let (last, middle) = (VIEW as isize - 1, VIEW as isize / 2);
        let corner = self.offset(at) as isize + last * forward - middle * right;
        let mut image = [[[0; 3]; VIEW]; VIEW];
        for (column, cells) in image.iter_mut().enumerate() {
            let top = corner + column as isize * right;
            for (row, code) in cells.iter_mut().enumerate() {
                *code = self.cells[(top - row as isize * forward) as usize].encode();
            }
        }
        if !sees_through_walls {
            hide_unseen(&mut image);
        }
        image[VIEW / 2][VIEW - 1] = carrying.unwrap_or(Cell::EMPTY).encode();
        image
    }

    fn stride(&self) -> usize {
        (self.width + 2 * MARGIN) as usize
    }

    fn offset(&self, (x, y): Position) -> usize {
        (y + MARGIN) as usize * self.stride() + (x + MARGIN) as usize
    }
}

/// Blanks the cells that no line of sight reaches.
///
/// Sight spreads row by row from the agent: along a row through cells that one can see through, and from each of
/// these to the three cells ahead. A row is seven bits, bit i for column i.
fn hide_unseen(image: &mut Image) {
    let mut seen = 1_u8 << (VIEW / 2);
    for row in (0..VIEW).rev() {
        let clear = image.iter().enumerate().fold(0, |bits, (column, cells)| {
            bits | u8::from(is_clear(cells[row])) << column
        });
        for _ in 1..VIEW {
            seen |= (seen & clear) << 1 & ALL;
        }
        // The outermost column of either sweep passes nothing on.
        let rightward = seen & clear & !(1 << (VIEW - 1));
        for _ in 1..VIEW {
            seen |= (seen & clear) >> 1;
        }
        let leftward = seen & clear & !1;
        for (column, cells) in image.iter_mut().enumerate() {
            if seen >> column & 1 == 0 {
                cells[row] = [0; 3];
            }
        }
        seen = (rightward | rightward << 1 | leftward | leftward >> 1) & ALL;
    }
}

/// Returns whether one can see through what a code says.
fn is_clear([object, _, state]: [u8; 3]) -> bool {
    let is_open = state == DoorState::Open as u8;
    object != Object::Wall as u8 && (object != Object::Door as u8 || is_open)
}

/// The bits of a whole row.
const ALL: u8 = (1 << VIEW) - 1;

const MARGIN: i32 = VIEW as i32 - 1;
