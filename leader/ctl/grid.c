/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ctl/grid.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/check.h"

#define TEXT_MAX    (64u * 1024)
#define CELLS_FIRST 256
#define LEAST_WIDTH 6
#define GAP         2

struct grid {
	const char *const *heads;
	size_t columns;
	char **cells;
	size_t len, room;
	bool begun; /* the heads are out */
};

struct grid *grid_new(const char *const *heads)
{
	struct grid *grid = xnew(struct grid);

	grid->heads = heads;
	while (heads[grid->columns])
		grid->columns++;
	CHECK(grid->columns <= GRID_COLUMNS_MAX);
	return grid;
}

static void clear(struct grid *grid)
{
	for (size_t i = 0; i < grid->len; i++)
		free(grid->cells[i]);
	grid->len = 0;
}

void grid_free(struct grid *grid)
{
	if (!grid)
		return;
	clear(grid);
	free(grid->cells);
	free(grid);
}

/* Also C1, which are two bytes in UTF-8, and marks that turn the direction of what follows. */
static bool is_harmless(struct str c)
{
	const unsigned char *at = (const unsigned char *)c.at;

	if (c.len == 1)
		return at[0] >= 0x20 && at[0] != 0x7f;
	if (c.len == 2)
		return !(at[0] == 0xc2 && at[1] < 0xa0);
	return !(c.len == 3 && at[0] == 0xe2 &&
		 ((at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae) || (at[1] == 0x81 && at[2] >= 0xa6)));
}

void grid_clean(struct str text, struct buf *into)
{
	while (text.len) {
		size_t len = str_utf8_len(text);
		struct str c = str_from(text.at, len ? len : 1);

		if (len && is_harmless(c))
			buf_add(into, c);
		else
			buf_putc(into, '?');
		text = str_from(text.at + c.len, text.len - c.len);
	}
}

static void grow(struct grid *grid)
{
	size_t room = grid->room ? 2 * grid->room : CELLS_FIRST;
	char **cells = xnew_array(char *, room);

	for (size_t i = 0; i < grid->len; i++)
		cells[i] = grid->cells[i];
	free(grid->cells);
	grid->cells = cells;
	grid->room = room;
}

void grid_put(struct grid *grid, struct str text)
{
	AUTO_FINI(buf) clean = buf_limit(TEXT_MAX);

	if (grid->len == grid->room)
		grow(grid);
	grid_clean(text, &clean);
	grid->cells[grid->len++] = check_strdup(clean.failed ? "(long)" : buf_text(&clean));
}

/* Widths. */

static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static size_t terminal_width(FILE *to)
{
	struct winsize size;

	if (!isatty(fileno(to)))
		return SIZE_MAX;
	if (ioctl(fileno(to), TIOCGWINSZ, &size) != 0 || !size.ws_col)
		return 80;
	return size.ws_col;
}

static size_t sum_of(const struct grid *grid, const size_t *widths)
{
	size_t sum = 0;

	for (size_t i = 0; i < grid->columns; i++)
		sum += widths[i] + (i ? GAP : 0);
	return sum;
}

static size_t widest(const struct grid *grid, const size_t *widths)
{
	size_t at = 0;

	for (size_t i = 1; i < grid->columns; i++)
		if (widths[i] > widths[at])
			at = i;
	return at;
}

static void measure(const struct grid *grid, size_t most, size_t *widths)
{
	for (size_t i = 0; i < grid->columns; i++)
		widths[i] = width_of(grid->heads[i]);
	for (size_t i = 0; i < grid->len; i++) {
		size_t width = width_of(grid->cells[i]);
		if (width > widths[i % grid->columns])
			widths[i % grid->columns] = width;
	}
	while (sum_of(grid, widths) > most && widths[widest(grid, widths)] > LEAST_WIDTH)
		widths[widest(grid, widths)]--;
}

/* Printing. */

static size_t bytes_of(const char *text, size_t width)
{
	size_t at = 0;

	for (; text[at] && width; width--)
		do
			at++;
		while (((unsigned char)text[at] & 0xc0) == 0x80);
	return at;
}

static void print_cell(const char *text, size_t width, bool is_last, FILE *to)
{
	size_t own = width_of(text);

	if (own > width) {
		(void)fprintf(to, "%.*s...", (int)bytes_of(text, width - 3), text);
		own = width;
	} else {
		(void)fputs(text, to);
	}
	for (size_t i = own; !is_last && i < width + GAP; i++)
		(void)fputc(' ', to);
}

static void print_row(const struct grid *grid, const size_t *widths, const char *const *cells, FILE *to)
{
	for (size_t i = 0; i < grid->columns; i++)
		print_cell(cells[i], widths[i], i + 1 == grid->columns, to);
	(void)fputc('\n', to);
}

void grid_print(struct grid *grid, FILE *to)
{
	size_t widths[GRID_COLUMNS_MAX];

	measure(grid, terminal_width(to), widths);
	if (!grid->begun)
		print_row(grid, widths, grid->heads, to);
	grid->begun = true;
	for (size_t i = 0; i + grid->columns <= grid->len; i += grid->columns)
		print_row(grid, widths, (const char *const *)grid->cells + i, to);
	clear(grid);
}
