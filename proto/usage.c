/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage - each message is a struct with a table of its members; writing, reading and freeing are
 * loops over the tables. Members' names in JSON are those of the structs.
 *
 * Reading ignores members that it does not know, gives defaults for those that are missing, and
 * refuses wrong types. Whole numbers above 2^63 - 1 are written as 2^63 - 1: JSON ends there.
 * `rate` travels as rate_milli, thousandths of a request a second.
 */
#include "proto/usage.h"

#include "common/check.h"
#include "common/json.h"
#include "proto/history.h"
#include "proto/tenants.h"

enum member_type {
	MEMBER_TEXT,   /* char *, never NULL once read */
	MEMBER_DAY,    /* char[11] */
	MEMBER_WINDOW, /* char[LIMITS_WINDOW_SIZE] */
	MEMBER_WORD,   /* char[USAGE_WORD_MAX + 1] */
	MEMBER_UINT,
	MEMBER_INT, /* not negative on the wire */
	MEMBER_BOOL,
	MEMBER_MILLI,  /* double, as thousandths */
	MEMBER_ROWS,   /* pointer, and a size_t beside it */
	MEMBER_STRUCT, /* embedded */
};

struct member {
	const char *name;
	enum member_type type;
	size_t offset, len_offset;
	size_t max;          /* bytes of a text */
	bool required;       /* a text that may not be empty */
	bool sparse;         /* not written where it is empty, 0 or false, which is its default */
	const char *choices; /* "a, b"; the first is the default */
	const struct shape *shape;
	bool (*is_of)(const void *row); /* of rows that share one array: those of this list; NULL: all */
};

struct shape {
	const struct member *members;
	size_t len, size;
};

#define MEMBER(noun, member, type_, ...)                                                                     \
	{                                                                                                    \
		.name = #member, .type = (type_), .offset = offsetof(struct noun, member), __VA_ARGS__       \
	}
#define UINT(noun, member)              MEMBER(noun, member, MEMBER_UINT, .max = 0)
#define SPARSE(noun, member, type)      MEMBER(noun, member, type, .sparse = true)
#define SPARSE_TEXT(noun, member, max_) MEMBER(noun, member, MEMBER_TEXT, .max = (max_), .sparse = true)
#define NAME(noun, member, required_)                                                                        \
	MEMBER(noun, member, MEMBER_TEXT, .max = USAGE_NAME_MAX, .required = (required_))
#define DAY(noun) MEMBER(noun, day, MEMBER_DAY, .max = 10)
#define ROWS(noun, name_, member, row)                                                                       \
	{                                                                                                    \
		.name = (name_), .type = MEMBER_ROWS, .offset = offsetof(struct noun, member),               \
		.len_offset = offsetof(struct noun, member##_len), .shape = &row##_shape                     \
	}
#define ROWS_OF(noun, name_, member, row, is_of_)                                                            \
	{                                                                                                    \
		.name = (name_), .type = MEMBER_ROWS, .offset = offsetof(struct noun, member),               \
		.len_offset = offsetof(struct noun, member##_len), .shape = &row##_shape, .is_of = (is_of_)  \
	}
#define SPARSE_ROWS(noun, member, row)                                                                       \
	{                                                                                                    \
		.name = #member, .type = MEMBER_ROWS, .offset = offsetof(struct noun, member),               \
		.len_offset = offsetof(struct noun, member##_len), .shape = &row##_shape, .sparse = true     \
	}
#define SUBJECT(noun) MEMBER(noun, apikey, MEMBER_TEXT, .max = LIMITS_SUBJECT_MAX, .required = true)
#define WINDOW(noun)  MEMBER(noun, day, MEMBER_WINDOW, .max = 0)
#define SHAPE(noun)                                                                                          \
	static const struct shape noun##_shape = { noun##_members,                                           \
		sizeof(noun##_members) / sizeof(noun##_members[0]), sizeof(struct noun) }

static const struct member usage_row_members[] = {
	NAME(usage_row, apikey, true),
	DAY(usage_row),
	UINT(usage_row, calls),
	UINT(usage_row, ungranted),
	UINT(usage_row, granted_month),
	UINT(usage_row, granted_bytes),
	UINT(usage_row, bytes_in),
	UINT(usage_row, bytes_out),
};
SHAPE(usage_row);

static const struct member usage_repository_members[] = {
	NAME(usage_repository, name, true),
	UINT(usage_repository, pulls),
	UINT(usage_repository, pushes),
	UINT(usage_repository, bytes_in),
	UINT(usage_repository, bytes_out),
};
SHAPE(usage_repository);

static const struct member usage_demand_members[] = {
	SUBJECT(usage_demand),
	WINDOW(usage_demand),
	UINT(usage_demand, granted),
	UINT(usage_demand, used),
	UINT(usage_demand, want),
	UINT(usage_demand, waits),
	UINT(usage_demand, needs),
	UINT(usage_demand, reserved),
	MEMBER(usage_demand, release, MEMBER_BOOL, .max = 0),
};
SHAPE(usage_demand);

/* What those of before know of. */
static bool is_key_and_day(const char *subject, const char *window)
{
	enum limits_kind kind;

	return !strchr(subject, ':') && limits_window_parse(str_of(window), &kind) && kind == LIMITS_DAY;
}

static bool is_daily_demand(const void *row)
{
	const struct usage_demand *demand = row;

	return is_key_and_day(demand->apikey, demand->day);
}

static bool is_other_demand(const void *row)
{
	return !is_daily_demand(row);
}

static const struct member usage_run_members[] = {
	MEMBER(usage_run, how, MEMBER_TEXT, .max = 16, .sparse = true),
	SPARSE_TEXT(usage_run, unit, USAGE_UNIT_MAX),
	SPARSE(usage_run, done, MEMBER_UINT),
	SPARSE(usage_run, total, MEMBER_UINT),
	SPARSE(usage_run, about, MEMBER_UINT),
	SPARSE(usage_run, removed, MEMBER_UINT),
	SPARSE(usage_run, bytes, MEMBER_UINT),
	SPARSE(usage_run, at_s, MEMBER_UINT),
	SPARSE(usage_run, ms, MEMBER_UINT),
	SPARSE(usage_run, dry_run, MEMBER_BOOL),
	SPARSE_TEXT(usage_run, what, USAGE_AT_MAX),
	SPARSE_TEXT(usage_run, error, USAGE_WHY_MAX),
};
SHAPE(usage_run);

static const struct member usage_chore_members[] = {
	MEMBER(usage_chore, name, MEMBER_WORD, .max = USAGE_WORD_MAX),
	MEMBER(usage_chore, state, MEMBER_TEXT, .max = 16, .choices = "idle, waiting, running"),
	SPARSE(usage_chore, can_dry_run, MEMBER_BOOL),
	SPARSE(usage_chore, order, MEMBER_UINT),
	MEMBER(usage_chore, run, MEMBER_STRUCT, .shape = &usage_run_shape, .sparse = true),
	MEMBER(usage_chore, last, MEMBER_STRUCT, .shape = &usage_run_shape, .sparse = true),
};
SHAPE(usage_chore);

static const struct member usage_order_members[] = {
	UINT(usage_order, id),
	MEMBER(usage_order, chore, MEMBER_WORD, .max = USAGE_WORD_MAX),
	SPARSE(usage_order, stop, MEMBER_BOOL),
	SPARSE(usage_order, dry_run, MEMBER_BOOL),
};
SHAPE(usage_order);

static const struct member usage_stats_members[] = {
	{ .name = "rate_milli", .type = MEMBER_MILLI, .offset = offsetof(struct usage_stats, rate) },
	UINT(usage_stats, requests),
	UINT(usage_stats, open_requests),
	UINT(usage_stats, bytes_in),
	UINT(usage_stats, bytes_out),
	UINT(usage_stats, rss),
	UINT(usage_stats, cpu_ms),
	UINT(usage_stats, uptime_ms),
	UINT(usage_stats, p50_us),
	UINT(usage_stats, p99_us),
	UINT(usage_stats, proxied),
	UINT(usage_stats, s3_requests),
	UINT(usage_stats, spool_bytes),
	UINT(usage_stats, errors),
	UINT(usage_stats, uploads),
	MEMBER(usage_stats, uploads_rest, MEMBER_BOOL, .max = 0),
	UINT(usage_stats, chores),
	MEMBER(usage_stats, chore, MEMBER_WORD, .max = USAGE_WORD_MAX),
	UINT(usage_stats, chore_ms),
	UINT(usage_stats, chore_failures),
	UINT(usage_stats, chore_failed_ms),
	MEMBER(usage_stats, weighed, MEMBER_BOOL, .max = 0),
	UINT(usage_stats, storage_bytes),
	UINT(usage_stats, storage_repositories),
	MEMBER(usage_stats, counted, MEMBER_BOOL, .max = 0),
	UINT(usage_stats, storage_blobs),
	UINT(usage_stats, storage_manifests),
	UINT(usage_stats, storage_tags),
	MEMBER(usage_stats, moves, MEMBER_BOOL, .max = 0),
	UINT(usage_stats, moves_epoch),
	UINT(usage_stats, moves_held),
	UINT(usage_stats, moves_coming),
};
SHAPE(usage_stats);

static const struct member usage_report_members[] = {
	NAME(usage_report, worker, true),
	NAME(usage_report, process, false),
	NAME(usage_report, boot, true),
	UINT(usage_report, number),
	UINT(usage_report, after),
	UINT(usage_report, seq),
	MEMBER(usage_report, final, MEMBER_BOOL, .max = 0),
	MEMBER(usage_report, all, MEMBER_BOOL, .max = 0),
	NAME(usage_report, url, false),
	NAME(usage_report, zone, false),
	MEMBER(usage_report, tenants, MEMBER_TEXT, .max = TENANTS_MAX),
	NAME(usage_report, version, false),
	MEMBER(usage_report, state, MEMBER_TEXT, .max = 16, .choices = "active, joining, draining, left"),
	UINT(usage_report, revision),
	MEMBER(usage_report, state_digest, MEMBER_TEXT, .max = 64),
	MEMBER(usage_report, cluster, MEMBER_TEXT, .max = HISTORY_CLUSTER_SIZE - 1),
	UINT(usage_report, generation),
	MEMBER(usage_report, state_age_ms, MEMBER_INT, .max = 0),
	UINT(usage_report, secret),
	MEMBER(usage_report, complaints, MEMBER_TEXT, .max = USAGE_COMPLAINTS_MAX),
	NAME(usage_report, leader, false),
	MEMBER(usage_report, witness, MEMBER_TEXT, .max = USAGE_WITNESS_MAX),
	ROWS(usage_report, "usage", rows, usage_row),
	ROWS(usage_report, "repositories", repositories, usage_repository),
	ROWS_OF(usage_report, "demands", demands, usage_demand, is_daily_demand),
	ROWS_OF(usage_report, "quotas", demands, usage_demand, is_other_demand),
	SPARSE_ROWS(usage_report, chores, usage_chore),
	SPARSE(usage_report, chores_whole, MEMBER_BOOL),
	MEMBER(usage_report, stats, MEMBER_STRUCT, .shape = &usage_stats_shape),
};
SHAPE(usage_report);

static const struct member usage_grant_members[] = {
	SUBJECT(usage_grant),
	WINDOW(usage_grant),
	UINT(usage_grant, granted),
	UINT(usage_grant, used),
	UINT(usage_grant, total),
	UINT(usage_grant, limit),
	UINT(usage_grant, coming),
	MEMBER(usage_grant, recall, MEMBER_BOOL, .max = 0),
};
SHAPE(usage_grant);

static bool is_daily_grant(const void *row)
{
	const struct usage_grant *grant = row;

	return is_key_and_day(grant->apikey, grant->day);
}

static bool is_other_grant(const void *row)
{
	return !is_daily_grant(row);
}

static const struct member usage_unsigned_members[] = { NAME(usage_unsigned, name, true) };
SHAPE(usage_unsigned);

static const struct member usage_answer_members[] = {
	UINT(usage_answer, seq),
	UINT(usage_answer, number),
	NAME(usage_answer, leader, false),
	NAME(usage_answer, version, false),
	MEMBER(usage_answer, witness, MEMBER_TEXT, .max = USAGE_WITNESS_MAX),
	MEMBER(usage_answer, now_ms, MEMBER_INT, .max = 0),
	MEMBER(usage_answer, lease_ms, MEMBER_INT, .max = 0),
	MEMBER(usage_answer, push_every_ms, MEMBER_INT, .max = 0),
	MEMBER(usage_answer, grant_ms, MEMBER_INT, .max = 0),
	MEMBER(usage_answer, hold_ms, MEMBER_INT, .max = 0),
	UINT(usage_answer, ring_epoch),
	UINT(usage_answer, revision),
	MEMBER(usage_answer, deals, MEMBER_BOOL, .max = 0),
	MEMBER(usage_answer, other_secret, MEMBER_BOOL, .max = 0),
	MEMBER(usage_answer, cut, MEMBER_BOOL, .max = 0),
	SPARSE(usage_answer, tell_chores, MEMBER_BOOL),
	SPARSE_ROWS(usage_answer, orders, usage_order),
	ROWS_OF(usage_answer, "grants", grants, usage_grant, is_daily_grant),
	ROWS_OF(usage_answer, "quotas", grants, usage_grant, is_other_grant),
	ROWS(usage_answer, "unsigned", unsigned_members, usage_unsigned),
};
SHAPE(usage_answer);

static const void *member_at(const struct member *member, const void *from)
{
	return (const char *)from + member->offset;
}

static void *member_into(const struct member *member, void *into)
{
	return (char *)into + member->offset;
}

static size_t rows_len(const struct member *member, const void *from)
{
	return *(const size_t *)(const void *)((const char *)from + member->len_offset);
}

/* Each row type has a pointer type of its own, so the pointer goes through memcpy. */
static char *rows_at(const struct member *member, const void *from)
{
	char *rows;

	memcpy(&rows, member_at(member, from), sizeof(rows));
	return rows;
}

static void set_rows(const struct member *member, void *into, char *rows, size_t len)
{
	memcpy(member_into(member, into), &rows, sizeof(rows));
	*(size_t *)(void *)((char *)into + member->len_offset) = len;
}

/* ---- freeing ---- */

static void shape_fini(const struct shape *shape, void *at);

/* Another list may have the same rows: they are gone for it too. */
static void rows_fini(const struct member *member, void *at)
{
	char *rows = rows_at(member, at);

	for (size_t i = 0; i < rows_len(member, at); i++)
		shape_fini(member->shape, rows + i * member->shape->size);
	free(rows);
	set_rows(member, at, NULL, 0);
}

static void shape_fini(const struct shape *shape, void *at)
{
	for (size_t i = 0; i < shape->len; i++) {
		const struct member *member = &shape->members[i];

		if (member->type == MEMBER_TEXT)
			free(*(char **)member_into(member, at));
		else if (member->type == MEMBER_ROWS)
			rows_fini(member, at);
		else if (member->type == MEMBER_STRUCT)
			shape_fini(member->shape, member_into(member, at));
	}
	memset(at, 0, shape->size);
}

/* Of what has no lists. */
static void shape_copy(const struct shape *shape, const void *from, void *into)
{
	memcpy(into, from, shape->size);
	for (size_t i = 0; i < shape->len; i++) {
		const struct member *member = &shape->members[i];
		const char *text;

		CHECK(member->type != MEMBER_ROWS);
		if (member->type == MEMBER_STRUCT)
			shape_copy(member->shape, member_at(member, from), member_into(member, into));
		if (member->type != MEMBER_TEXT)
			continue;
		text = *(char *const *)member_at(member, from);
		*(char **)member_into(member, into) = check_strdup(text ? text : "");
	}
}

/* ---- writing ---- */

static int64_t clamp_uint(uint64_t n)
{
	return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

static int64_t clamp_milli(double rate)
{
	if (!(rate > 0))
		return 0;
	return rate < 1e12 ? (int64_t)(rate * 1000) : (int64_t)1e15;
}

static void write_shape(const struct shape *shape, const void *from, struct json_writer *writer);

static void write_rows(const struct member *member, const void *from, struct json_writer *writer)
{
	const char *rows = rows_at(member, from);

	json_open_array(writer);
	for (size_t i = 0; i < rows_len(member, from); i++) {
		const char *row = rows + i * member->shape->size;

		if (!member->is_of || member->is_of(row))
			write_shape(member->shape, row, writer);
	}
	json_close_array(writer);
}

static void write_member(const struct member *member, const void *from, struct json_writer *writer)
{
	const void *at = member_at(member, from);

	switch (member->type) {
	case MEMBER_TEXT:
		json_value_str(writer, str_of(*(char *const *)at));
		break;
	case MEMBER_DAY:
	case MEMBER_WINDOW:
	case MEMBER_WORD:
		json_value_str(writer, str_of(at));
		break;
	case MEMBER_UINT:
		json_value_int(writer, clamp_uint(*(const uint64_t *)at));
		break;
	case MEMBER_INT:
		json_value_int(writer, *(const int64_t *)at);
		break;
	case MEMBER_BOOL:
		json_value_bool(writer, *(const bool *)at);
		break;
	case MEMBER_MILLI:
		json_value_int(writer, clamp_milli(*(const double *)at));
		break;
	case MEMBER_ROWS:
		write_rows(member, from, writer);
		break;
	case MEMBER_STRUCT:
		write_shape(member->shape, at, writer);
		break;
	}
}

static bool is_unset(const struct member *member, const void *from);

static bool is_nothing(const struct shape *shape, const void *from)
{
	for (size_t i = 0; i < shape->len; i++)
		if (!is_unset(&shape->members[i], from))
			return false;
	return true;
}

static bool is_empty(const struct member *member, const void *from)
{
	const void *at = member_at(member, from);

	switch (member->type) {
	case MEMBER_TEXT:
		return !**(char *const *)at;
	case MEMBER_UINT:
		return !*(const uint64_t *)at;
	case MEMBER_BOOL:
		return !*(const bool *)at;
	case MEMBER_ROWS:
		return !rows_len(member, from);
	case MEMBER_STRUCT:
		return is_nothing(member->shape, at);
	default:
		return false;
	}
}

/* A text that is not set is left out, so that reading gives its default. */
static bool is_unset(const struct member *member, const void *from)
{
	if (member->type == MEMBER_TEXT && !*(char *const *)member_at(member, from))
		return true;
	return member->sparse && is_empty(member, from);
}

static void write_shape(const struct shape *shape, const void *from, struct json_writer *writer)
{
	json_open_object(writer);
	for (size_t i = 0; i < shape->len; i++) {
		if (is_unset(&shape->members[i], from))
			continue;
		json_key(writer, str_of(shape->members[i].name));
		write_member(&shape->members[i], from, writer);
	}
	json_close_object(writer);
}

/* ---- reading ---- */

struct reader {
	size_t rows; /* read so far, in all lists */
};

static bool must_be(const char *what, const struct json *node, struct error *err)
{
	return error_set(
		err, ERROR_INVALID, NULL, "must be %s, not %s", what, json_kind_name(json_kind(node)));
}

static bool is_choice(const char *choices, struct str text)
{
	struct str rest = str_of(choices);
	struct str choice;

	while (str_next(&rest, ',', &choice)) {
		if (str_equal(choice, text))
			return true;
	}
	return false;
}

static bool is_good_text(const struct member *member, struct str text, struct error *err)
{
	if (text.len > member->max)
		return error_set(err, ERROR_TOO_LARGE, NULL, "has %zu bytes; at most %zu are allowed",
			text.len, member->max);
	return !text.len || !memchr(text.at, '\0', text.len) ||
	       error_set(err, ERROR_INVALID, NULL, "must not contain NUL");
}

static bool read_text(const struct member *member, const struct json *node, char **into, struct error *err)
{
	struct str text = STR_NONE;
	struct str rest = str_of(member->choices);

	if (!node && member->choices)
		(void)str_next(&rest, ',', &text);
	else if (node && !json_get_str(node, &text))
		return must_be("a text", node, err);
	if (!is_good_text(member, text, err))
		return false;
	if (member->required && !text.len)
		return error_set(err, ERROR_INVALID, NULL, "is required");
	if (member->choices && !is_choice(member->choices, text))
		return error_set(err, ERROR_INVALID, NULL, "\"%.*s\" is not one of: %s", STR_ARGS(text),
			member->choices);
	*into = check_strndup(text.at ? text.at : "", text.len);
	return true;
}

static bool read_day(const struct json *node, char into[11], struct error *err)
{
	static const char pattern[] = "NNNN-NN-NN";
	struct str text = json_str(node);
	bool good = text.len == sizeof(pattern) - 1;

	for (size_t i = 0; good && i < text.len; i++)
		good = pattern[i] == 'N' ? text.at[i] >= '0' && text.at[i] <= '9' : text.at[i] == '-';
	if (!good)
		return error_set(err, ERROR_INVALID, NULL, "must be a day, \"2026-11-20\"");
	return str_copy(text, into, 11);
}

static bool read_window(const struct json *node, char into[LIMITS_WINDOW_SIZE], struct error *err)
{
	struct str text = json_str(node);
	enum limits_kind kind;

	if (!limits_window_parse(text, &kind))
		return error_set(err, ERROR_INVALID, NULL,
			"must be a window, \"2026-11-20\", \"2026-11\", \"2026-11#bytes\" or \"second\"");
	return str_copy(text, into, LIMITS_WINDOW_SIZE);
}

static bool read_word(const struct member *member, const struct json *node, char *into, struct error *err)
{
	struct str text;

	if (!json_get_str(node, &text))
		return must_be("a text", node, err);
	return is_good_text(member, text, err) && str_copy(text, into, member->max + 1);
}

static bool read_number(const struct json *node, int64_t *ret, struct error *err)
{
	int64_t n;

	if (!json_get_int(node, &n))
		return must_be("a whole number", node, err);
	if (n < 0)
		return error_set(err, ERROR_INVALID, NULL, "must not be negative");
	*ret = n;
	return true;
}

static bool read_uint(const struct json *node, uint64_t *into, struct error *err)
{
	int64_t n = 0;

	if (!read_number(node, &n, err))
		return false;
	*into = (uint64_t)n;
	return true;
}

static bool read_milli(const struct json *node, double *into, struct error *err)
{
	int64_t n = 0;

	if (!read_number(node, &n, err))
		return false;
	*into = (double)n / 1000;
	return true;
}

static bool read_shape(struct reader *reader, const struct shape *shape, const struct json *node, void *into,
	struct error *err);

/* Behind those of another list of the same array. The length counts rows that were begun, so that freeing finds what a
 * half-read one holds. */
static bool read_rows(struct reader *reader, const struct member *member, const struct json *node, void *into,
	struct error *err)
{
	const struct shape *shape = member->shape;
	size_t len = json_len(node), before = rows_len(member, into);
	char *rows;

	if (json_kind(node) != JSON_ARRAY)
		return must_be("a list", node, err);
	if (len > USAGE_ROWS_MAX - reader->rows)
		return error_set(err, ERROR_TOO_LARGE, NULL, "over %u rows in all", USAGE_ROWS_MAX);
	reader->rows += len;
	len = member->sparse && len > USAGE_CHORES_MAX ? USAGE_CHORES_MAX : len;
	if (!len)
		return true;
	rows = check_alloc(before + len, shape->size);
	if (before)
		memcpy(rows, rows_at(member, into), before * shape->size);
	free(rows_at(member, into));
	for (size_t i = 0; i < len; i++) {
		set_rows(member, into, rows, before + i + 1);
		if (!read_shape(reader, shape, json_at(node, i), rows + (before + i) * shape->size, err))
			return error_add(err, "[%zu]", i);
	}
	return true;
}

static bool read_member(struct reader *reader, const struct member *member, const struct json *node,
	void *object, struct error *err)
{
	void *into = member_into(member, object);

	switch (member->type) {
	case MEMBER_TEXT:
		return read_text(member, node, into, err);
	case MEMBER_DAY:
		return read_day(node, into, err);
	case MEMBER_WINDOW:
		return read_window(node, into, err);
	case MEMBER_WORD:
		return !node || read_word(member, node, into, err);
	case MEMBER_UINT:
		return !node || read_uint(node, into, err);
	case MEMBER_INT:
		return !node || read_number(node, into, err);
	case MEMBER_BOOL:
		return !node || json_get_bool(node, into) || must_be("true or false", node, err);
	case MEMBER_MILLI:
		return !node || read_milli(node, into, err);
	case MEMBER_ROWS:
		return !node || read_rows(reader, member, node, object, err);
	case MEMBER_STRUCT:
		return !node || read_shape(reader, member->shape, node, into, err);
	}
	return false;
}

static bool read_shape(struct reader *reader, const struct shape *shape, const struct json *node, void *into,
	struct error *err)
{
	if (json_kind(node) != JSON_OBJECT)
		return must_be("an object", node, err);
	for (size_t i = 0; i < shape->len; i++) {
		const struct member *member = &shape->members[i];

		if (!read_member(reader, member, json_find(node, member->name), into, err))
			return error_add(err, "%s", member->name);
	}
	return true;
}

/* Fills the zeroed struct at `into`; on failure frees what it has got. */
static bool parse(const struct shape *shape, struct str text, void *into, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	struct reader reader = { 0 };

	if (text.len > USAGE_BYTES_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "%zu bytes; at most %u are allowed", text.len,
			USAGE_BYTES_MAX);
	if (!json_parse_within(text, JSON_MEMORY_OWN(text.len), &doc, err))
		return false;
	if (read_shape(&reader, shape, json_root(doc), into, err))
		return true;
	shape_fini(shape, into);
	return false;
}

/* ---- the two messages ---- */

void usage_report_fini(struct usage_report *report)
{
	shape_fini(&usage_report_shape, report);
}

void usage_chore_fini(struct usage_chore *chore)
{
	shape_fini(&usage_chore_shape, chore);
}

void usage_chore_copy(const struct usage_chore *from, struct usage_chore *into)
{
	shape_copy(&usage_chore_shape, from, into);
}

void usage_report_encode(const struct usage_report *report, struct buf *into)
{
	struct json_writer writer = json_writer(into);

	write_shape(&usage_report_shape, report, &writer);
}

bool usage_report_parse(struct str text, struct usage_report *ret, struct error *err)
{
	struct usage_report report = { .after = UINT64_MAX };

	if (!parse(&usage_report_shape, text, &report, err))
		return error_add(err, "usage report");
	if (report.after == UINT64_MAX)
		report.after = report.seq ? report.seq - 1 : 0;
	*ret = report;
	return true;
}

void usage_answer_fini(struct usage_answer *answer)
{
	shape_fini(&usage_answer_shape, answer);
}

void usage_answer_encode(const struct usage_answer *answer, struct buf *into)
{
	struct json_writer writer = json_writer(into);

	write_shape(&usage_answer_shape, answer, &writer);
}

bool usage_answer_parse(struct str text, struct usage_answer *ret, struct error *err)
{
	struct usage_answer answer = { 0 };

	if (!parse(&usage_answer_shape, text, &answer, err))
		return error_add(err, "usage answer");
	*ret = answer;
	return true;
}
