/* SPDX-License-Identifier: Apache-2.0 */
/*
 * range - a header is first read whole (anything malformed: the header is ignored), then what is
 * left of it is sorted and joined.
 *
 * Positions of Range saturate: a number that no 64 bits hold lies behind the end of any content,
 * which is all that matters of it.
 */
#include "proto/range.h"

#include <strings.h>

/* The largest position of a chunk: so that last + 1 is a length that a signed off_t holds too. */
#define POSITION_MAX (INT64_MAX - 1)

static struct str skip_blanks(struct str s)
{
	while (s.len && (*s.at == ' ' || *s.at == '\t'))
		s = str_from(s.at + 1, s.len - 1);
	return s;
}

static bool skip_nocase(struct str *s, const char *literal)
{
	size_t len = strlen(literal);

	if (s->len < len || strncasecmp(s->at, literal, len) != 0)
		return false;
	*s = str_from(s->at + len, s->len - len);
	return true;
}

/* Digits, at least one; saturating. */
static bool take_position(struct str *s, uint64_t *ret)
{
	uint64_t value = 0;
	size_t at = 0;

	for (; at < s->len && s->at[at] >= '0' && s->at[at] <= '9'; at++) {
		unsigned digit = (unsigned)(s->at[at] - '0');

		value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
	}
	if (at == 0)
		return false;
	*s = str_from(s->at + at, s->len - at);
	*ret = value;
	return true;
}

enum spec { SPEC_MALFORMED, SPEC_OUTSIDE, SPEC_INSIDE };

/* "-n": the last n bytes. */
static enum spec parse_suffix(struct str text, uint64_t size, struct range *ret)
{
	uint64_t len;

	if (!take_position(&text, &len) || text.len)
		return SPEC_MALFORMED;
	if (len == 0 || size == 0)
		return SPEC_OUTSIDE;
	*ret = (struct range){ len >= size ? 0 : size - len, size - 1 };
	return SPEC_INSIDE;
}

/* "a-b", "a-" or "-n". */
static enum spec parse_spec(struct str text, uint64_t size, struct range *ret)
{
	uint64_t first;
	uint64_t last = UINT64_MAX;

	if (str_skip(&text, "-"))
		return parse_suffix(text, size, ret);
	if (!take_position(&text, &first) || !str_skip(&text, "-"))
		return SPEC_MALFORMED;
	if (text.len && (!take_position(&text, &last) || text.len))
		return SPEC_MALFORMED;
	if (first >= size || last < first)
		return SPEC_OUTSIDE;
	*ret = (struct range){ first, last < size ? last : size - 1 };
	return SPEC_INSIDE;
}

/* By first byte; there are at most RANGE_MAX. */
static void insert(struct range *ranges, unsigned len, struct range range)
{
	while (len && ranges[len - 1].first > range.first) {
		ranges[len] = ranges[len - 1];
		len--;
	}
	ranges[len] = range;
}

/* Overlapping and touching neighbours become one. */
static unsigned join(struct range *ranges, unsigned len)
{
	unsigned kept = 0;

	for (unsigned i = 1; i < len; i++) {
		if (ranges[i].first > ranges[kept].last + 1)
			ranges[++kept] = ranges[i];
		else if (ranges[i].last > ranges[kept].last)
			ranges[kept].last = ranges[i].last;
	}
	return kept + 1;
}

enum range_kind range_parse(const char *header, uint64_t size, struct range ret[RANGE_MAX], unsigned *ret_len)
{
	struct range ranges[RANGE_MAX];
	struct str rest = str_trim(str_of(header));
	struct str text;
	unsigned len = 0;
	size_t specs = 0;

	if (!skip_nocase(&rest, "bytes="))
		return RANGE_WHOLE;
	while (str_next(&rest, ',', &text)) {
		struct range range = { 0, 0 };
		enum spec spec;

		if (text.len == 0)
			continue;
		spec = parse_spec(text, size, &range);
		if (spec == SPEC_MALFORMED)
			return RANGE_WHOLE;
		if (++specs <= RANGE_MAX && spec == SPEC_INSIDE)
			insert(ranges, len++, range);
	}
	if (specs == 0)
		return RANGE_WHOLE;
	if (len == 0 || specs > RANGE_MAX)
		return RANGE_UNSATISFIABLE;
	*ret_len = join(ranges, len);
	memcpy(ret, ranges, *ret_len * sizeof(*ret));
	return RANGE_PART;
}

/* "/total" or "/ *": what may follow a chunk's last position. */
static bool skip_total(struct str *s, uint64_t last)
{
	uint64_t total;

	if (!str_skip(s, "/") || str_skip(s, "*"))
		return true;
	return str_number(s, INT64_MAX, &total) && total > last;
}

bool content_range_parse(struct str header, struct range *ret)
{
	struct str rest = str_trim(header);
	struct range range;

	if (skip_nocase(&rest, "bytes "))
		rest = skip_blanks(rest);
	if (!str_number(&rest, POSITION_MAX, &range.first) || !str_skip(&rest, "-") ||
		!str_number(&rest, POSITION_MAX, &range.last))
		return false;
	if (range.last < range.first || !skip_total(&rest, range.last) || rest.len)
		return false;
	*ret = range;
	return true;
}

bool content_range_parse_answer(struct str header, struct range *ret, uint64_t *ret_total)
{
	struct str rest = str_trim(header);
	struct range range;
	uint64_t total;

	if (!skip_nocase(&rest, "bytes ") || !str_number(&rest, POSITION_MAX, &range.first) ||
		!str_skip(&rest, "-") || !str_number(&rest, POSITION_MAX, &range.last) ||
		!str_skip(&rest, "/") || !str_number(&rest, INT64_MAX, &total) || rest.len)
		return false;
	if (range.last < range.first || total <= range.last)
		return false;
	*ret = range;
	*ret_total = total;
	return true;
}
