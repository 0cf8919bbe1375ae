/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_parse - one value, from text or JSON, into the member that its row names.
 */
#include <strings.h>

#include "common/check.h"
#include "common/log.h"
#include "common/settings_priv.h"

#define FRACTION_DIGITS 6

/* ---- texts to numbers ---- */

static uint64_t take_unit_ns(struct str *s)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "\xc2\xb5s", 1000 },
		{ "ms", 1000000 },
		{ "s", 1000000000 },
		{ "m", 60000000000 },
		{ "h", 3600000000000 },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (str_skip(s, units[i].name))
			return units[i].ns;
	}
	return 0;
}

/* The digits behind a point, as millionths; further ones are taken and do not count. */
static bool take_millionths(struct str *s, uint64_t *ret)
{
	uint64_t n = 0;
	size_t len = 0;

	for (; len < s->len && s->at[len] >= '0' && s->at[len] <= '9'; len++) {
		if (len < FRACTION_DIGITS)
			n = n * 10 + (uint64_t)(s->at[len] - '0');
	}
	for (size_t i = len; i < FRACTION_DIGITS; i++)
		n *= 10;
	*s = str_from(s->at + len, s->len - len);
	*ret = n;
	return len > 0;
}

/* "1.5h": one part of a Go duration, added to *ns. */
static bool take_duration(struct str *s, uint64_t *ns)
{
	uint64_t whole, part = 0, unit, sum;

	if (!str_number(s, INT64_MAX, &whole) || (str_skip(s, ".") && !take_millionths(s, &part)))
		return false;
	unit = take_unit_ns(s);
	if (!unit || whole > INT64_MAX / unit)
		return false;
	sum = *ns + whole * unit;
	part = part * unit / 1000000;
	if (sum > INT64_MAX || part > INT64_MAX - sum)
		return false;
	*ns = sum + part;
	return true;
}

bool setting_parse_ms(struct str text, int64_t *ret)
{
	uint64_t n = 0;

	if (str_to_number(text, INT64_MAX, &n)) {
		*ret = (int64_t)n;
		return true;
	}
	if (!text.len)
		return false;
	while (text.len) {
		if (!take_duration(&text, &n))
			return false;
	}
	*ret = (int64_t)(n / 1000000);
	return true;
}

/* Bytes of "", "B", "kB", "KiB", "Ki", "M" ...; 0 when it is no unit. */
static uint64_t unit_bytes(struct str s)
{
	static const char letters[] = "kmgt";
	uint64_t decimal = 1000, binary = 1024;

	if (!s.len || str_is_nocase(s, "b"))
		return 1;
	for (size_t i = 0; letters[i]; i++, decimal *= 1000, binary *= 1024) {
		struct str rest = str_from(s.at + 1, s.len - 1);

		if ((s.at[0] | 0x20) != letters[i])
			continue;
		if (!rest.len || str_is_nocase(rest, "b"))
			return decimal;
		return str_is_nocase(rest, "i") || str_is_nocase(rest, "ib") ? binary : 0;
	}
	return 0;
}

bool setting_parse_bytes(struct str text, int64_t *ret)
{
	uint64_t n, unit;

	if (!str_number(&text, INT64_MAX, &n))
		return false;
	unit = unit_bytes(str_trim(text));
	if (!unit || n > INT64_MAX / unit)
		return false;
	*ret = (int64_t)(n * unit);
	return true;
}

static bool parse_number(struct str text, int64_t *ret)
{
	bool minus = str_skip(&text, "-");
	uint64_t n;

	if (!str_to_number(text, INT64_MAX, &n))
		return false;
	*ret = minus ? -(int64_t)n : (int64_t)n;
	return true;
}

static bool parse_bool(struct str text, bool *ret)
{
	static const char *const words[] = { "false", "0", "no", "off", "true", "1", "yes", "on" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (str_is_nocase(text, words[i])) {
			*ret = i >= 4;
			return true;
		}
	}
	return false;
}

static bool parse_enum(struct str text, const char *choices, int *ret)
{
	struct str left = str_of(choices), choice;

	for (int i = 0; str_next(&left, '|', &choice); i++) {
		if (choice.len == text.len && strncasecmp(choice.at, text.at, text.len) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* ---- what is allowed, and saying that it is not so ---- */

static bool is_bounded(const struct setting *row)
{
	return row->min != 0 || row->max != 0;
}

static const char *unit_of(const struct setting *row)
{
	return row->type == SETTING_MS ? " ms" : row->type == SETTING_BYTES ? " bytes" : "";
}

static void describe_bounds(const struct setting *row, struct buf *into)
{
	if (is_bounded(row) && row->max == INT64_MAX)
		buf_format(into, ", at least %lld%s", (long long)row->min, unit_of(row));
	else if (is_bounded(row))
		buf_format(into, ", %lld to %lld%s", (long long)row->min, (long long)row->max, unit_of(row));
}

static void describe_choices(const struct setting *row, struct buf *into)
{
	struct str left = str_of(row->choices), choice;

	buf_puts(into, "one of");
	for (const char *separator = " "; str_next(&left, '|', &choice); separator = ", ") {
		buf_puts(into, separator);
		buf_add(into, choice);
	}
}

void setting_describe(const struct setting *row, struct buf *into)
{
	static const char *const names[] = {
		[SETTING_TEXT] = "a text",
		[SETTING_SECRET] = "a secret text",
		[SETTING_NUMBER] = "a number",
		[SETTING_BOOL] = "true or false",
		[SETTING_MS] = "a duration (\"1h30m\", \"500ms\", or a number of ms)",
		[SETTING_BYTES] = "a size (\"64MB\", \"1GiB\", or a number of bytes)",
		[SETTING_ENUM] = "",
		[SETTING_LIST] = "a list of texts",
		[SETTING_NODE] = "a part of the file with keys of its own",
		[SETTING_IGNORED] = "anything",
		[SETTING_LATER] = "anything",
	};

	if (row->type == SETTING_ENUM) {
		describe_choices(row, into);
		return;
	}
	buf_puts(into, names[row->type]);
	describe_bounds(row, into);
}

static void say_wrong(
	struct settings_load *load, const struct setting *row, const char *where, const char *what)
{
	AUTO_FINI(buf) allowed = buf_limit(1024);

	setting_describe(row, &allowed);
	settings_say(load, "%s is %s; allowed is %s", where, row->type == SETTING_SECRET ? "no text" : what,
		buf_text(&allowed));
}

static void say_wrong_text(
	struct settings_load *load, const struct setting *row, const char *where, struct str text)
{
	say_wrong(load, row, where, log_quote(text));
}

/* ---- into the struct ---- */

static void *member_of(struct settings_load *load, const struct setting *row)
{
	return load->base + row->offset;
}

static void put_number(struct settings_load *load, const struct setting *row, const char *where, int64_t n)
{
	int64_t *member = member_of(load, row);
	char text[24];

	if (is_bounded(row) && (n < row->min || n > row->max)) {
		(void)snprintf(text, sizeof(text), "%lld", (long long)n);
		say_wrong(load, row, where, text);
		return;
	}
	*member = n;
}

static void put_list(
	struct settings_load *load, const struct setting *row, const struct str *items, size_t len)
{
	struct setting_list *list = member_of(load, row);

	list->at = settings_memory_new(load->memory, len, sizeof(*list->at));
	list->len = len;
	for (size_t i = 0; i < len; i++)
		list->at[i] = settings_memory_text(load->memory, items[i]);
}

/* Empty items do not count: "a,,b" and a comma at the end are what templates leave behind. */
static void take_list(struct settings_load *load, const struct setting *row, struct str text)
{
	struct str left = text, item, *items;
	size_t len = 0;

	while (str_next(&left, ',', &item))
		len++;
	items = xnew_array(struct str, len);
	for (left = text, len = 0; str_next(&left, ',', &item);) {
		if (item.len)
			items[len++] = item;
	}
	put_list(load, row, items, len);
	free(items);
}

static void take_bool(
	struct settings_load *load, const struct setting *row, const char *where, struct str text)
{
	bool *member = member_of(load, row);

	if (!parse_bool(text, member))
		say_wrong_text(load, row, where, text);
}

static void take_enum(
	struct settings_load *load, const struct setting *row, const char *where, struct str text)
{
	int *member = member_of(load, row);

	if (!parse_enum(text, row->choices, member))
		say_wrong_text(load, row, where, text);
}

static void take_number(
	struct settings_load *load, const struct setting *row, const char *where, struct str text)
{
	int64_t n;
	bool good = row->type == SETTING_MS      ? setting_parse_ms(text, &n)
		    : row->type == SETTING_BYTES ? setting_parse_bytes(text, &n)
						 : parse_number(text, &n);

	if (good)
		put_number(load, row, where, n);
	else
		say_wrong_text(load, row, where, text);
}

void setting_take_text(
	struct settings_load *load, const struct setting *row, const char *where, struct str text)
{
	switch (row->type) {
	case SETTING_TEXT:
	case SETTING_SECRET: {
		const char **member = member_of(load, row);

		*member = settings_memory_text(load->memory, text);
		break;
	}
	case SETTING_NUMBER:
	case SETTING_MS:
	case SETTING_BYTES:
		take_number(load, row, where, str_trim(text));
		break;
	case SETTING_BOOL:
		take_bool(load, row, where, str_trim(text));
		break;
	case SETTING_ENUM:
		take_enum(load, row, where, str_trim(text));
		break;
	case SETTING_LIST:
		take_list(load, row, text);
		break;
	case SETTING_NODE:
		say_wrong_text(load, row, where, text);
		break;
	case SETTING_IGNORED:
	case SETTING_LATER:
		break;
	}
}

/* ---- from JSON ---- */

static bool is_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '_' &&
			(i == 0 || c < '0' || c > '9'))
			return false;
	}
	return s.len > 0;
}

/* Replaces each ${NAME}. Names are not shown for secrets: what looks like one may be a part of it. */
static bool expand(struct settings_load *load, const struct setting *row, const char *where, struct str text,
	struct buf *into)
{
	struct str before, name;

	while (str_until(&text, '$', &before)) {
		const char *value;

		buf_add(into, before);
		if (!str_skip(&text, "{")) {
			buf_putc(into, '$');
			continue;
		}
		if (!str_until(&text, '}', &name) || !is_name(name)) {
			settings_say(
				load, "%s has a \"${\" without a variable's name and \"}\" after it", where);
			return false;
		}
		value = settings_variable(load->environment, name);
		if (!value) {
			settings_say(load, "%s wants the variable %s, which is not set", where,
				row->type == SETTING_SECRET ? "that it names" : log_quote(name));
			return false;
		}
		buf_puts(into, value);
	}
	buf_add(into, text);
	if (into->failed)
		settings_say(load, "%s is over %u bytes", where, SETTING_TEXT_MAX);
	return !into->failed;
}

static void take_string(
	struct settings_load *load, const struct setting *row, const char *where, const struct json *value)
{
	AUTO_FINI(buf) text = buf_limit(SETTING_TEXT_MAX);

	if (expand(load, row, where, json_str(value), &text))
		setting_take_text(load, row, where, buf_str(&text));
}

/* The items that are wrong are named with their place; the list is stored when none is. */
static void take_array(
	struct settings_load *load, const struct setting *row, const char *where, const struct json *value)
{
	size_t len = json_len(value), good = 0;
	struct buf *texts = xnew_array(struct buf, len);
	struct str *items = xnew_array(struct str, len);

	for (size_t i = 0; i < len; i++) {
		AUTO_FINI(buf) place = buf_limit(1024);
		const struct json *item = json_at(value, i);

		buf_init(&texts[i], SETTING_TEXT_MAX);
		buf_format(&place, "%s[%zu]", where, i);
		if (json_kind(item) != JSON_STRING)
			settings_say(load, "%s is %s; allowed is a text", buf_text(&place),
				json_kind_name(json_kind(item)));
		else
			good += expand(load, row, buf_text(&place), json_str(item), &texts[i]);
		items[i] = buf_str(&texts[i]);
	}
	if (good == len)
		put_list(load, row, items, len);
	for (size_t i = 0; i < len; i++)
		buf_fini(&texts[i]);
	free(texts);
	free(items);
}

static bool is_numeric(const struct setting *row)
{
	return row->type == SETTING_NUMBER || row->type == SETTING_MS || row->type == SETTING_BYTES;
}

void setting_take_json(
	struct settings_load *load, const struct setting *row, const char *where, const struct json *value)
{
	enum json_kind kind = json_kind(value);
	int64_t n = 0;
	bool yes;

	if (row->type == SETTING_NODE) {
		const struct json **member = member_of(load, row);

		*member = value;
	} else if (kind == JSON_STRING) {
		take_string(load, row, where, value);
	} else if (is_numeric(row) && json_get_int(value, &n)) {
		put_number(load, row, where, n);
	} else if (row->type == SETTING_LIST && kind == JSON_ARRAY) {
		take_array(load, row, where, value);
	} else if (row->type == SETTING_ENUM && json_get_bool(value, &yes)) {
		take_enum(load, row, where, yes ? STR("true") : STR("false"));
	} else if (row->type != SETTING_BOOL || !json_get_bool(value, member_of(load, row))) {
		say_wrong(load, row, where, json_kind_name(kind));
	}
}
