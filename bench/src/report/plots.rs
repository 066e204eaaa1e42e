//! The results as pictures, in SVG.
//!
//! ```text
//!   SUITE.svg        time against memory: a point for each allocator, at its two
//!                    geometric means. The corner at the lower left is the good one.
//!   SUITE-rows.svg   a line for each workload, a point for each allocator: how many
//!                    times the best one's time, and beside it, memory. Ours stands out.
//! ```
//!
//! The scales of the second kind are logarithmic: some allocators are far off in some
//! rows, and the others should not lie on one point for that.

use std::fs;
use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::grid::{Grid, MEMORY, Measure, TIME};
use super::{OVERALL, SUMMARY, base};
use crate::measure::Results;
use crate::peers::OURS;

/// The area that is drawn on.
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Width of a picture.
const WIDTH: u32 = 900;
/// Height of one line of the second kind.
const LINE: u32 = 20;
/// Room for the names of workloads.
const NAMES: u32 = 130;
/// Ratios beyond this stand at the edge.
const FAR: f64 = 32.0;
/// The edge at the other side: a little less than one, where the best ones stand.
const NEAR: f64 = 0.95;
/// The size of letters.
const LETTERS: f64 = 13.0;
/// The typeface.
const FACE: &str = "sans-serif";

/// Draws two pictures for each suite, and two for all rows that count in the summary.
pub(crate) fn draw(results: &Results, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    let grids: Vec<(&str, Grid)> =
        results.suites.iter().map(|suite| (suite.suite, Grid::of(suite))).collect();
    let counted = |(suite, _): &&(&str, Grid)| OVERALL.iter().any(|one| one.name() == *suite);
    let all: Vec<Grid> = grids.iter().filter(counted).map(|(_, grid)| grid.clone()).collect();
    let all = Grid::join(&all);
    let all = (!all.rows.is_empty()).then_some((SUMMARY, all));
    for (name, grid) in grids.iter().chain(&all) {
        against(grid, name, &directory.join(format!("{name}.svg")))?;
        rows(grid, name, &directory.join(format!("{name}-rows.svg")))?;
    }
    Ok(())
}

/// The colour of a column. Ours is the only black one.
fn colour(grid: &Grid, column: usize) -> RGBAColor {
    if grid.peers[column] == OURS { BLACK.mix(1.0) } else { Palette99::pick(column).mix(0.9) }
}

/// Bounds that hold all of `values`, with some room.
fn bounds(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, most) =
        values.fold((1.0f64, 1.0f64), |(least, most), value| (least.min(value), most.max(value)));
    // Names stand to the right of their points.
    let room = (most - least).max(0.1) / 8.0;
    least - room / 2.0..most + room
}

/// Time against memory.
pub(super) fn against(grid: &Grid, name: &str, file: &Path) -> Result<()> {
    let (anchor, base) = base(&grid.peers);
    let points: Vec<(usize, f64, f64)> = (0..grid.peers.len())
        .filter_map(|column| {
            let mean = |of| grid.mean(column, base, of).0;
            Some((column, mean(MEMORY)?, mean(TIME)?))
        })
        .collect();
    let area = SVGBackend::new(file, (WIDTH, 520)).into_drawing_area();
    area.fill(&WHITE)?;
    let across = bounds(points.iter().map(|point| point.1));
    let up = bounds(points.iter().map(|point| point.2));
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{name}: geometric means over {} workloads", grid.rows.len()), (FACE, 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(across, up)?;
    chart
        .configure_mesh()
        .x_desc(format!("peak memory, {anchor} = 1"))
        .y_desc(format!("CPU time, {anchor} = 1"))
        .x_label_formatter(&|value| format!("{value:.2}"))
        .y_label_formatter(&|value| format!("{value:.2}"))
        .label_style((FACE, LETTERS))
        .light_line_style(WHITE)
        .draw()?;
    for (column, memory, time) in points {
        let ours = grid.peers[column] == OURS;
        let colour = colour(grid, column);
        let size = if ours { 8 } else { 6 };
        chart.draw_series([Circle::new((memory, time), size, colour.filled())])?;
        let style = (FACE, if ours { LETTERS + 3.0 } else { LETTERS }).into_font().color(&colour);
        let text = EmptyElement::at((memory, time))
            + Text::new(grid.peers[column].clone(), (10, -6), style);
        chart.draw_series([text])?;
    }
    Ok(area.present()?)
}

/// Every row by itself.
pub(super) fn rows(grid: &Grid, name: &str, file: &Path) -> Result<()> {
    let count = u32::try_from(grid.rows.len())?;
    let height = 110 + LINE * count;
    let area = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let (head, body) = area.split_vertically(50);
    let title = format!("{name}: times the best of each workload");
    head.draw_text(&title, &(FACE, 18).into_text_style(&head), (12, 8))?;
    for column in 0..grid.peers.len() {
        let place = 12 + i32::try_from(column)? * 86;
        let colour = colour(grid, column);
        head.draw(&Circle::new((place + 4, 41), 4, colour.filled()))?;
        let style = (FACE, LETTERS).into_font().color(&colour);
        head.draw_text(&grid.peers[column], &style, (place + 12, 34))?;
    }
    let (left, right) = body.split_horizontally(NAMES + (WIDTH - NAMES) / 2);
    panel(grid, &left, "CPU time", TIME, NAMES)?;
    panel(grid, &right, "peak memory", MEMORY, 8)?;
    Ok(area.present()?)
}

/// One half of it. Names stand where there is room for them.
fn panel(grid: &Grid, area: &Area, about: &str, of: Measure, room: u32) -> Result<()> {
    let count = f64::from(u32::try_from(grid.rows.len())?);
    let columns = 0..grid.peers.len();
    let ratios = grid
        .rows
        .iter()
        .flat_map(|row| columns.clone().filter_map(move |column| row.to_best(column, of)));
    let far = ratios.fold(2.0, f64::max).min(FAR);
    let mut chart = ChartBuilder::on(area)
        .margin_right(12)
        .x_label_area_size(44)
        .y_label_area_size(room)
        .build_cartesian_2d((NEAR..far * 1.1).log_scale(), 0.0..count)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(about)
        .x_label_formatter(&|value| format!("{value}"))
        .label_style((FACE, LETTERS))
        .light_line_style(WHITE)
        .draw()?;
    for (number, row) in grid.rows.iter().enumerate() {
        let height = count - f64::from(u32::try_from(number)?) - 0.5;
        let mut columns: Vec<usize> = (0..grid.peers.len()).collect();
        // Ours is drawn last, above the others.
        columns.sort_by_key(|column| grid.peers[*column] == OURS);
        for column in columns {
            let Some(ratio) = row.to_best(column, of) else { continue };
            let size = if grid.peers[column] == OURS { 6 } else { 4 };
            let point = (ratio.min(far), height);
            chart.draw_series([Circle::new(point, size, colour(grid, column).filled())])?;
        }
        if room >= NAMES {
            let (x, y) = chart.backend_coord(&(NEAR, height));
            let style = (FACE, LETTERS).into_font().color(&BLACK);
            let style = style.pos(Pos::new(HPos::Right, VPos::Center));
            let (left, top) = area.get_base_pixel();
            area.draw_text(row.name, &style, (x - left - 8, y - top))?;
        }
    }
    Ok(())
}
