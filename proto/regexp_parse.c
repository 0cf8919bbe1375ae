/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regexp_parse - a pattern becomes a program: read from the front, each part's steps made as it is read.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/regexp_priv.h"

#define COUNT_MAX 1000 /* as in Go, also of counts in counts together */
#define NEST_MAX  100

struct flags {
	bool fold, lines, dot_all;
};

/* What a repeat applies to. */
struct atom {
	size_t begin;
	int counts;    /* of the counts in it, multiplied */
	bool is_there; /* false: there is nothing to repeat */
	bool repeated;
};

struct parsing {
	struct str pattern;
	size_t at, steps_len, sets_len;
	struct flags flags;
	unsigned nest;
	int counts; /* the most of any count in what was parsed of this group */
	struct error *err;
	struct regexp_step steps[REGEXP_STEPS_MAX];
	struct regexp_set sets[REGEXP_MAX + 1];
};

static bool wrong(struct parsing *p, size_t at, const char *why)
{
	return error_set(p->err, ERROR_INVALID, NULL, "byte %zu: %s", at + 1, why);
}

static bool is_over(const struct parsing *p)
{
	return p->at >= p->pattern.len;
}

static char here(const struct parsing *p)
{
	return is_over(p) ? '\0' : p->pattern.at[p->at];
}

static struct str rest_of(const struct parsing *p)
{
	return str_from(p->pattern.at + p->at, p->pattern.len - p->at);
}

static bool skip(struct parsing *p, const char *text)
{
	struct str rest = rest_of(p);

	if (!str_starts(rest, text))
		return false;
	p->at += strlen(text);
	return true;
}

/* ---- the program ---- */

static bool too_large(struct parsing *p)
{
	return error_set(p->err, ERROR_TOO_LARGE, NULL,
		"its counts make it larger than %d steps; use lower ones", REGEXP_STEPS_MAX);
}

static bool add_step(struct parsing *p, struct regexp_step step)
{
	if (p->steps_len == REGEXP_STEPS_MAX)
		return too_large(p);
	p->steps[p->steps_len++] = step;
	return true;
}

static bool insert_step(struct parsing *p, size_t at, struct regexp_step step)
{
	if (p->steps_len == REGEXP_STEPS_MAX)
		return too_large(p);
	memmove(&p->steps[at + 1], &p->steps[at], (p->steps_len - at) * sizeof(step));
	p->steps[at] = step;
	p->steps_len++;
	return true;
}

static bool add_copy(struct parsing *p, size_t begin, size_t len)
{
	if (p->steps_len + len > REGEXP_STEPS_MAX)
		return too_large(p);
	memmove(&p->steps[p->steps_len], &p->steps[begin], len * sizeof(p->steps[0]));
	p->steps_len += len;
	return true;
}

/* ---- sets of bytes ---- */

static void set_add(struct regexp_set *set, unsigned from, unsigned to)
{
	for (unsigned c = from; c <= to; c++)
		set->bits[c / 64] |= UINT64_C(1) << c % 64;
}

static void set_join(struct regexp_set *set, const struct regexp_set *other, bool inverted)
{
	for (unsigned i = 0; i < 4; i++)
		set->bits[i] |= inverted ? ~other->bits[i] : other->bits[i];
}

static void set_invert(struct regexp_set *set)
{
	for (unsigned i = 0; i < 4; i++)
		set->bits[i] = ~set->bits[i];
}

static void set_fold(struct regexp_set *set)
{
	for (unsigned c = 'a'; c <= 'z'; c++)
		if (regexp_set_has(set, (unsigned char)c) ||
			regexp_set_has(set, (unsigned char)(c - 'a' + 'A'))) {
			set_add(set, c, c);
			set_add(set, c - 'a' + 'A', c - 'a' + 'A');
		}
}

static bool add_set(struct parsing *p, struct regexp_set set)
{
	CHECK(p->sets_len < sizeof(p->sets) / sizeof(p->sets[0])); /* one for a byte of the pattern at most */
	p->sets[p->sets_len] = set;
	return add_step(p, (struct regexp_step){ STEP_SET, (int)p->sets_len++, 0 });
}

static bool add_byte(struct parsing *p, unsigned char c)
{
	struct regexp_set set = { { 0 } };

	set_add(&set, c, c);
	if (p->flags.fold)
		set_fold(&set);
	return add_set(p, set);
}

struct class
{
	const char *name;
	struct {
		unsigned char from, to;
	} ranges[4]; /* 0 behind the last */
};

static const struct class classes[] = {
	{ "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } } },
	{ "alpha", { { 'A', 'Z' }, { 'a', 'z' } } }, { "ascii", { { 0, 0x7f } } },
	{ "blank", { { '\t', '\t' }, { ' ', ' ' } } }, { "cntrl", { { 0, 0x1f }, { 0x7f, 0x7f } } },
	{ "digit", { { '0', '9' } } }, { "graph", { { '!', '~' } } }, { "lower", { { 'a', 'z' } } },
	{ "print", { { ' ', '~' } } },
	{ "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } } },
	{ "space", { { '\t', '\r' }, { ' ', ' ' } } }, { "upper", { { 'A', 'Z' } } },
	{ "word", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' }, { '_', '_' } } },
	{ "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } } },
	{ "s", { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } } }, /* \s, which lacks \v */
};

static bool find_class(struct str name, struct regexp_set *into, bool inverted)
{
	struct regexp_set set = { { 0 } };

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (!str_is(name, classes[i].name))
			continue;
		for (unsigned at = 0; at < 4 && classes[i].ranges[at].to; at++)
			set_add(&set, classes[i].ranges[at].from, classes[i].ranges[at].to);
		set_join(into, &set, inverted);
		return true;
	}
	return false;
}

/* \d, \D and so on, behind the backslash. */
static bool take_perl_class(struct parsing *p, struct regexp_set *into)
{
	char c = here(p), lower = (char)(c | 0x20);

	if (lower != 'd' && lower != 'w' && lower != 's')
		return false;
	p->at++;
	return find_class(str_of(lower == 'd' ? "digit" : lower == 'w' ? "word" : "s"), into, c != lower);
}

/* ---- escapes ---- */

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind "\x". */
static bool take_hex(struct parsing *p, size_t begin, unsigned char *ret)
{
	bool braces = skip(p, "{");
	unsigned value = 0, digits = 0;

	while ((braces || digits < 2) && hex_of(here(p)) >= 0 && value <= 0x7f) {
		value = value * 16 + (unsigned)hex_of(here(p));
		digits++;
		p->at++;
	}
	if (value > 0x7f)
		return wrong(p, begin, "only ASCII can match, and this is beyond \\x7f");
	if (!digits || (!braces && digits < 2) || (braces && !skip(p, "}")))
		return wrong(p, begin, "\\x needs two hex digits, or some in braces");
	*ret = (unsigned char)value;
	return true;
}

static bool take_octal(struct parsing *p, size_t begin, unsigned char *ret)
{
	unsigned value = 0, digits = 0;
	bool zero = here(p) == '0';

	for (; digits < 3 && here(p) >= '0' && here(p) <= '7'; digits++, p->at++)
		value = value * 8 + (unsigned)(here(p) - '0');
	if (!zero && digits < 2)
		return wrong(p, begin, "references back are not regular, and not known");
	if (value > 0x7f)
		return wrong(p, begin, "only ASCII can match, and this is beyond \\177");
	*ret = (unsigned char)value;
	return true;
}

/* One character, behind a backslash. */
static bool take_escaped(struct parsing *p, unsigned char *ret)
{
	static const char letters[] = "aftnrv", values[] = "\a\f\t\n\r\v";
	size_t begin = p->at - 1;
	char c = here(p);
	const char *letter = c ? strchr(letters, c) : NULL;

	if (is_over(p))
		return wrong(p, begin, "a backslash at the end");
	if (c >= '0' && c <= '9')
		return c <= '7' ? take_octal(p, begin, ret)
				: wrong(p, begin, "references back are not regular, and not known");
	p->at++;
	if (c == 'x')
		return take_hex(p, begin, ret);
	if (letter) {
		*ret = (unsigned char)values[letter - letters];
		return true;
	}
	if ((unsigned char)c > 0x7f || (c | 0x20) == 'p')
		return wrong(p, begin, "only ASCII can match: tags are ASCII");
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
		return wrong(p, begin, "an escape that is not known");
	*ret = (unsigned char)c;
	return true;
}

/* ---- classes in brackets ---- */

/* "[:alpha:]" at p->at. *ret_is: it was one. */
static bool take_named_class(struct parsing *p, struct regexp_set *set, bool *ret_is)
{
	struct str rest = rest_of(p), name;
	bool inverted;

	*ret_is = str_skip(&rest, "[:") && str_until(&rest, ':', &name) && str_skip(&rest, "]");
	if (!*ret_is)
		return true;
	inverted = str_skip(&name, "^");
	if (str_is(name, "s") || !find_class(name, set, inverted))
		return wrong(p, p->at,
			"a class that is not known; known are alnum, alpha, digit, lower, upper, word and so "
			"on");
	p->at = p->pattern.len - rest.len;
	return true;
}

static bool take_bound(struct parsing *p, unsigned char *ret)
{
	if (is_over(p))
		return wrong(p, p->at, "a ']' is missing");
	if (skip(p, "\\"))
		return take_escaped(p, ret);
	*ret = (unsigned char)here(p);
	p->at++;
	return true;
}

static bool take_range(struct parsing *p, struct regexp_set *set)
{
	size_t begin = p->at;
	unsigned char from, to;

	if (!take_bound(p, &from))
		return false;
	to = from;
	if (here(p) == '-' && p->at + 1 < p->pattern.len && p->pattern.at[p->at + 1] != ']') {
		p->at++;
		if (!take_bound(p, &to))
			return false;
		if (to < from)
			return wrong(p, begin, "a range whose end is before its begin");
	}
	set_add(set, from, to);
	return true;
}

static bool take_member(struct parsing *p, struct regexp_set *set)
{
	bool named;

	if (!take_named_class(p, set, &named))
		return false;
	if (named)
		return true;
	if (here(p) == '\\' && p->at + 1 < p->pattern.len) {
		p->at++;
		if (take_perl_class(p, set))
			return true;
		p->at--;
	}
	return take_range(p, set);
}

/* Behind '['. */
static bool parse_class(struct parsing *p)
{
	size_t begin = p->at - 1;
	bool inverted = skip(p, "^");
	struct regexp_set set = { { 0 } };

	for (bool first = true; first || here(p) != ']'; first = false) {
		if (is_over(p))
			return wrong(p, begin, "a ']' is missing");
		if (!take_member(p, &set))
			return false;
	}
	p->at++;
	if (p->flags.fold)
		set_fold(&set);
	if (inverted)
		set_invert(&set);
	return add_set(p, set);
}

/* ---- atoms ---- */

static bool parse_quoted(struct parsing *p, struct atom *atom)
{
	while (!is_over(p) && !skip(p, "\\E")) {
		atom->begin = p->steps_len;
		atom->is_there = true;
		if (!add_byte(p, (unsigned char)p->pattern.at[p->at++]))
			return false;
	}
	return true;
}

static bool add_kind(struct parsing *p, enum step_kind kind)
{
	return add_step(p, (struct regexp_step){ kind, 0, 0 });
}

/* Behind a backslash. */
static bool parse_escape(struct parsing *p, struct atom *atom)
{
	struct regexp_set set = { { 0 } };
	unsigned char c;

	if (skip(p, "Q")) {
		atom->is_there = false;
		return parse_quoted(p, atom);
	}
	if (skip(p, "A"))
		return add_kind(p, STEP_BEGIN);
	if (skip(p, "z"))
		return add_kind(p, STEP_END);
	if (skip(p, "b"))
		return add_kind(p, STEP_WORD);
	if (skip(p, "B"))
		return add_kind(p, STEP_NO_WORD);
	if (take_perl_class(p, &set))
		return add_set(p, set);
	return take_escaped(p, &c) && add_byte(p, c);
}

static bool add_dot(struct parsing *p)
{
	struct regexp_set set = { { 0 } };

	if (!p->flags.dot_all)
		set_add(&set, '\n', '\n');
	set_invert(&set);
	return add_set(p, set);
}

static bool parse_alternatives(struct parsing *p);

/* The name of a group says nothing, and is one all the same. */
static bool skip_name(struct parsing *p)
{
	size_t begin = p->at;

	for (; !is_over(p) && here(p) != '>'; p->at++)
		if (here(p) != '_' && !(here(p) >= '0' && here(p) <= '9') &&
			!((here(p) | 0x20) >= 'a' && (here(p) | 0x20) <= 'z'))
			return wrong(p, p->at, "a group's name has letters, digits and '_'");
	return (p->at > begin && skip(p, ">")) ||
	       wrong(p, begin, "a group's name, and '>' behind it, is missing");
}

/* Behind "(?". *ret_group: a ':' came, what follows is a group. */
static bool parse_flags(struct parsing *p, bool *ret_group)
{
	size_t begin = p->at - 2;
	bool on = true, any = false;

	for (; !is_over(p); p->at++) {
		switch (here(p)) {
		case 'i':
			p->flags.fold = on;
			break;
		case 'm':
			p->flags.lines = on;
			break;
		case 's':
			p->flags.dot_all = on;
			break;
		case 'U': /* which of several matches: here there is only whether */
			break;
		case '-':
			if (!on)
				return wrong(p, begin, "flags have one '-'");
			on = any = false;
			continue;
		case ':':
		case ')':
			if (!on && !any)
				return wrong(p, begin, "a flag is missing behind '-'");
			*ret_group = here(p) == ':';
			p->at++;
			return true;
		default:
			return wrong(p, begin,
				"not known; known are (?:, (?P<name>, (?<name> and the flags i m s U. Go "
				"knows no looking ahead or behind");
		}
		any = true;
	}
	return wrong(p, begin, "a ')' is missing");
}

static bool parse_group(struct parsing *p, size_t begin, const struct flags *outside)
{
	if (p->nest == NEST_MAX)
		return wrong(p, begin, "groups nest too deep");
	p->nest++;
	if (!parse_alternatives(p))
		return false;
	p->nest--;
	if (!skip(p, ")"))
		return wrong(p, begin, "a ')' is missing");
	p->flags = *outside;
	return true;
}

/* Behind '('. */
static bool parse_parenthesis(struct parsing *p, struct atom *atom)
{
	struct flags outside = p->flags;
	size_t begin = p->at - 1;
	int counts = p->counts;
	bool group = true, ok;

	if (skip(p, "?P<") || (!skip(p, "?<=") && !skip(p, "?<!") && skip(p, "?<"))) {
		if (!skip_name(p))
			return false;
	} else if (p->at > begin + 1) {
		return wrong(p, begin, "looking behind is not known");
	} else if (skip(p, "?") && !parse_flags(p, &group)) {
		return false;
	}
	atom->is_there = group;
	if (!group)
		return true;
	p->counts = 1;
	ok = parse_group(p, begin, &outside);
	atom->counts = p->counts;
	p->counts = counts > p->counts ? counts : p->counts;
	return ok;
}

static bool parse_atom(struct parsing *p, struct atom *atom)
{
	char c = here(p);

	*atom = (struct atom){ .begin = p->steps_len, .counts = 1, .is_there = true };
	p->at++;
	switch (c) {
	case '(':
		return parse_parenthesis(p, atom);
	case '[':
		return parse_class(p);
	case '\\':
		return parse_escape(p, atom);
	case '.':
		return add_dot(p);
	case '^':
		return add_kind(p, p->flags.lines ? STEP_LINE_BEGIN : STEP_BEGIN);
	case '$':
		return add_kind(p, p->flags.lines ? STEP_LINE_END : STEP_END);
	default:
		return add_byte(p, (unsigned char)c);
	}
}

/* ---- repeats ---- */

#define NO_END (-1)

/* "{2,5}" at p->at; false: it is text. */
static bool take_counts(struct parsing *p, int *ret_least, int *ret_most)
{
	struct str rest = rest_of(p);
	uint64_t least, most;

	if (!str_skip(&rest, "{") || !str_number(&rest, INT32_MAX, &least))
		return false;
	most = least;
	*ret_most = 0;
	if (str_skip(&rest, ",") && !str_number(&rest, INT32_MAX, &most))
		*ret_most = NO_END;
	if (!str_skip(&rest, "}"))
		return false;
	*ret_least = (int)least;
	if (*ret_most != NO_END)
		*ret_most = (int)most;
	p->at = p->pattern.len - rest.len;
	return true;
}

static bool take_repeat(struct parsing *p, int *ret_least, int *ret_most)
{
	char c = here(p);

	if (c == '{' && !is_over(p))
		return take_counts(p, ret_least, ret_most);
	if (is_over(p) || (c != '*' && c != '+' && c != '?'))
		return false;
	p->at++;
	*ret_least = c == '+';
	*ret_most = c == '?' ? 1 : NO_END;
	return true;
}

/* The part from `begin` on, so often. */
static bool add_repeats(struct parsing *p, size_t begin, int least, int most)
{
	size_t len = p->steps_len - begin;

	if (!most) { /* the part is skipped, not forgotten: a set of it may be another one's copy */
		p->steps_len = begin;
		return true;
	}
	for (int i = 1; i < least; i++)
		if (!add_copy(p, begin, len))
			return false;
	if (most == NO_END && least) /* the last of them again */
		return add_step(p, (struct regexp_step){ STEP_FORK, -(int)len, 1 });
	if (most == NO_END)
		return insert_step(p, begin, (struct regexp_step){ STEP_FORK, 1, (int)len + 2 }) &&
		       add_step(p, (struct regexp_step){ STEP_JUMP, -(int)len - 1, 0 });
	if (!least) {
		if (!insert_step(p, begin, (struct regexp_step){ STEP_FORK, 1, (int)len + 1 }))
			return false;
		begin++;
	}
	for (int i = least ? least : 1; i < most; i++)
		if (!add_step(p, (struct regexp_step){ STEP_FORK, 1, (int)len + 1 }) ||
			!add_copy(p, begin, len))
			return false;
	return true;
}

static bool check_repeat(struct parsing *p, size_t at, const struct atom *atom, int least, int most)
{
	if (!atom->is_there)
		return wrong(p, at, "nothing is there to be repeated");
	if (atom->repeated)
		return wrong(p, at, "a repeat of a repeat; put the first into a group");
	if (most != NO_END && most < least)
		return wrong(p, at, "the most is less than the least");
	if (least > COUNT_MAX || most > COUNT_MAX)
		return wrong(p, at, "a count over 1000");
	return true;
}

static bool parse_repeats(struct parsing *p, struct atom *atom)
{
	int least, most, count;
	size_t at = p->at;

	while (take_repeat(p, &least, &most)) {
		if (!check_repeat(p, at, atom, least, most))
			return false;
		count = most > least ? most : least;
		if (here(p) == '?')
			p->at++; /* the shortest match: there is only whether */
		if (count > 1 && atom->counts > COUNT_MAX / count)
			return wrong(p, at, "counts in counts make more than 1000");
		if (count > 1)
			atom->counts *= count;
		if (!add_repeats(p, atom->begin, least, most))
			return false;
		atom->repeated = true;
		at = p->at;
	}
	p->counts = atom->counts > p->counts ? atom->counts : p->counts;
	return true;
}

/* ---- the whole ---- */

static bool parse_sequence(struct parsing *p)
{
	struct atom atom = { .counts = 1 };

	if (!parse_repeats(p, &atom))
		return false;
	while (!is_over(p) && here(p) != '|' && here(p) != ')')
		if (!parse_atom(p, &atom) || !parse_repeats(p, &atom))
			return false;
	return true;
}

/* Each JUMP behind an alternative leads to the one behind the next, the last behind all. */
static bool parse_alternatives(struct parsing *p)
{
	size_t begin = p->steps_len, jump = SIZE_MAX, len;

	for (;;) {
		if (!parse_sequence(p))
			return false;
		if (!skip(p, "|"))
			break;
		len = p->steps_len - begin;
		if (!insert_step(p, begin, (struct regexp_step){ STEP_FORK, 1, (int)len + 2 }))
			return false;
		if (jump != SIZE_MAX)
			p->steps[jump].to = (int)(p->steps_len - jump);
		jump = p->steps_len;
		if (!add_kind(p, STEP_JUMP))
			return false;
		begin = p->steps_len;
	}
	if (jump != SIZE_MAX)
		p->steps[jump].to = (int)(p->steps_len - jump);
	return true;
}

static bool check_ascii(struct str pattern, struct error *err)
{
	for (size_t i = 0; i < pattern.len; i++)
		if (!pattern.at[i] || (unsigned char)pattern.at[i] > 0x7f)
			return error_set(err, ERROR_INVALID, NULL,
				"byte %zu: only ASCII can match: tags are ASCII", i + 1);
	return true;
}

static struct regexp *make(const struct parsing *p)
{
	size_t steps = p->steps_len * sizeof(p->steps[0]), sets = p->sets_len * sizeof(p->sets[0]);
	struct regexp *regexp = check_alloc(1, sizeof(*regexp) + steps + sets);

	regexp->steps_len = p->steps_len;
	regexp->steps = (struct regexp_step *)(void *)&regexp->sets[p->sets_len];
	memcpy(regexp->steps, p->steps, steps);
	memcpy(regexp->sets, p->sets, sets);
	return regexp;
}

bool regexp_new(struct regexp **ret, struct str pattern, struct error *err)
{
	struct parsing *p;
	bool ok;

	if (pattern.len > REGEXP_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL,
			"a pattern has at most %d bytes, this one has %zu", REGEXP_MAX, pattern.len);
	if (!check_ascii(pattern, err))
		return false;
	p = xnew(struct parsing);
	p->pattern = pattern.len ? pattern : STR("");
	p->counts = 1;
	p->err = err;
	ok = parse_alternatives(p) && (is_over(p) || wrong(p, p->at, "a ')' without its '('"));
	if (ok)
		*ret = make(p);
	free(p);
	return ok;
}
