/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json - jansson behind opaque types: a node is a json_t, a document the root and the memory that all of it
 * lies in.
 *
 * The nesting is measured before jansson sees the text, so its recursion is bounded by ours. jansson
 * allocates only while it parses, and then from the memory of the document at hand: nothing of a tree is
 * freed by itself, its memory goes as a whole.
 */
/* jansson's names of its kinds are ours too: its own get another spelling before ours are seen. */
#define JSON_OBJECT  JANSSON_OBJECT
#define JSON_ARRAY   JANSSON_ARRAY
#define JSON_STRING  JANSSON_STRING
#define JSON_INTEGER JANSSON_INTEGER
#define JSON_REAL    JANSSON_REAL
#define JSON_TRUE    JANSSON_TRUE
#define JSON_FALSE   JANSSON_FALSE
#define JSON_NULL    JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_INTEGER
#undef JSON_REAL
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL

#include "common/json.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>

#include "common/check.h"
#include "common/json_memory.h"

#define NESTING_MAX 64
#define FIRST_LEAST ((size_t)1024)
#define FIRST_MOST  ((size_t)64 * 1024)
#define FIRST_RATIO 4 /* a tree is about so much larger than its text */

struct json_doc {
	json_t *root;
	struct json_memory *memory;
};

/* jansson's walking functions want their nodes writable but do not write; const stays our promise. */
static json_t *node_of(const struct json *node)
{
	union {
		const struct json *ours;
		json_t *theirs;
	} either = { .ours = node };

	return either.theirs;
}

static const struct json *ours(const json_t *node)
{
	return (const struct json *)node;
}

/* ---- parsing ---- */

static bool nesting_fits(struct str text)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (quoted) {
			i += c == '\\';
			quoted = c != '"';
		} else if (c == '"') {
			quoted = true;
		} else if ((c == '[' || c == '{') && ++depth > NESTING_MAX) {
			return false;
		} else if ((c == ']' || c == '}') && depth) {
			depth--;
		}
	}
	return true;
}

/* jansson's text without its `near '...'`: that is the input, which may hold secrets. */
static bool parse_failed(const json_error_t *why, struct error *err)
{
	const char *near = strstr(why->text, " near ");
	int len = near ? (int)(near - why->text) : (int)strlen(why->text);

	return error_set(err, ERROR_INVALID, NULL, "JSON line %d column %d: %.*s", why->line, why->column,
		len, why->text);
}

/* A parse under way on this thread. */
struct parse {
	struct json_memory *memory;
	jmp_buf refused;
};
static _Thread_local struct parse *parse_at_hand;

/* jansson does not bear an allocation that fails (its lexer asserts), so it does not see one: the parse is
 * left as it stands. It holds nothing but this memory. */
static void *take(size_t len)
{
	void *at;

	CHECK(parse_at_hand);
	at = json_memory_take(parse_at_hand->memory, len);
	if (!at)
		longjmp(parse_at_hand->refused, 1);
	return at;
}

static void give(void *at)
{
	CHECK(parse_at_hand);
	json_memory_return(parse_at_hand->memory, at);
}

static void prepare(void)
{
	json_object_seed(0);
	json_set_alloc_funcs(take, give);
}

static json_t *load(struct str text, struct json_memory *memory, json_error_t *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct parse parse = { .memory = memory };
	json_t *volatile root = NULL;

	CHECK(!pthread_once(&once, prepare));
	parse_at_hand = &parse;
	if (!setjmp(parse.refused))
		root = json_loadb(text.len ? text.at : "", text.len, JSON_REJECT_DUPLICATES, why);
	parse_at_hand = NULL;
	return root;
}

static size_t first_of(struct str text, size_t memory_max)
{
	size_t first = text.len < FIRST_MOST / FIRST_RATIO ? text.len * FIRST_RATIO : FIRST_MOST;

	first = first > FIRST_LEAST ? first : FIRST_LEAST;
	return first < memory_max / 2 ? first : memory_max / 2;
}

/* Takes the memory. */
static bool parse(struct str text, struct json_memory *given, struct json_doc **ret_doc, struct error *err)
{
	AUTO(json_memory) *memory = given;
	json_error_t why;
	json_t *root;

	if (!nesting_fits(text))
		return error_set(err, ERROR_INVALID, NULL, "JSON nested deeper than %d", NESTING_MAX);
	root = load(text, memory, &why);
	if (!json_memory_refusal(memory, err))
		return false;
	if (!root)
		return parse_failed(&why, err);
	*ret_doc = xnew(struct json_doc);
	(*ret_doc)->root = root;
	(*ret_doc)->memory = TAKE(memory);
	return true;
}

bool json_parse(struct str text, struct json_doc **ret_doc, struct error *err)
{
	return json_parse_within(text, JSON_MEMORY_MAX, ret_doc, err);
}

bool json_parse_within(struct str text, size_t memory_max, struct json_doc **ret_doc, struct error *err)
{
	return parse(text, json_memory_new(first_of(text, memory_max), memory_max), ret_doc, err);
}

bool json_parse_own(struct str text, struct json_doc **ret_doc, struct error *err)
{
	size_t max = JSON_MEMORY_OWN(text.len);

	return parse(text, json_memory_new_own(first_of(text, max), max), ret_doc, err);
}

void json_doc_free(struct json_doc *doc)
{
	if (!doc)
		return;
	json_memory_free(doc->memory);
	free(doc);
}

size_t json_doc_memory(const struct json_doc *doc)
{
	return json_memory_used(doc->memory);
}

const struct json *json_root(const struct json_doc *doc)
{
	return ours(doc->root);
}

/* ---- looking ---- */

enum json_kind json_kind(const struct json *node)
{
	if (!node)
		return JSON_NONE;
	switch (json_typeof(node_of(node))) {
	case JANSSON_OBJECT:
		return JSON_OBJECT;
	case JANSSON_ARRAY:
		return JSON_ARRAY;
	case JANSSON_STRING:
		return JSON_STRING;
	case JANSSON_INTEGER:
		return JSON_INTEGER;
	case JANSSON_REAL:
		return JSON_REAL;
	case JANSSON_TRUE:
	case JANSSON_FALSE:
		return JSON_BOOL;
	case JANSSON_NULL:
		return JSON_NULL;
	}
	return JSON_NONE;
}

const char *json_kind_name(enum json_kind kind)
{
	switch (kind) {
	case JSON_NONE:
		return "nothing";
	case JSON_NULL:
		return "null";
	case JSON_BOOL:
		return "a boolean";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a real number";
	case JSON_STRING:
		return "a string";
	case JSON_ARRAY:
		return "an array";
	case JSON_OBJECT:
		return "an object";
	}
	return "nothing";
}

const struct json *json_find(const struct json *object, const char *key)
{
	return json_kind(object) == JSON_OBJECT ? ours(json_object_get(node_of(object), key)) : NULL;
}

size_t json_len(const struct json *node)
{
	switch (json_kind(node)) {
	case JSON_ARRAY:
		return json_array_size(node_of(node));
	case JSON_OBJECT:
		return json_object_size(node_of(node));
	default:
		return 0;
	}
}

const struct json *json_at(const struct json *array, size_t at)
{
	return json_kind(array) == JSON_ARRAY ? ours(json_array_get(node_of(array), at)) : NULL;
}

/* jansson keeps its keys in the order of their insertion, which is that of the text. */
bool json_next(const struct json *object, void **it, struct str *ret_key, const struct json **ret_value)
{
	json_t *node = node_of(object);

	if (json_kind(object) != JSON_OBJECT)
		return false;
	*it = *it ? json_object_iter_next(node, *it) : json_object_iter(node);
	if (!*it)
		return false;
	*ret_key = str_of(json_object_iter_key(*it));
	*ret_value = ours(json_object_iter_value(*it));
	return true;
}

bool json_get_str(const struct json *node, struct str *ret)
{
	if (json_kind(node) != JSON_STRING)
		return false;
	*ret = str_from(json_string_value(node_of(node)), json_string_length(node_of(node)));
	return true;
}

bool json_get_int(const struct json *node, int64_t *ret)
{
	if (json_kind(node) != JSON_INTEGER)
		return false;
	*ret = json_integer_value(node_of(node));
	return true;
}

bool json_get_bool(const struct json *node, bool *ret)
{
	if (json_kind(node) != JSON_BOOL)
		return false;
	*ret = json_typeof(node_of(node)) == JANSSON_TRUE;
	return true;
}

struct str json_str(const struct json *node)
{
	struct str s = STR_NONE;

	(void)json_get_str(node, &s);
	return s;
}

/* ---- writing ---- */

struct json_writer json_writer(struct buf *into)
{
	return (struct json_writer){ .into = into };
}

static bool in_array(const struct json_writer *w)
{
	return w->depth && w->arrays >> (w->depth - 1) & 1;
}

/* What stands before an element of the container at hand. */
static void separate(struct json_writer *w)
{
	if (w->depth && w->comma)
		buf_putc(w->into, ',');
}

static void before_value(struct json_writer *w)
{
	CHECK(w->keyed || w->depth == 0 || in_array(w));
	if (!w->keyed)
		separate(w);
	w->keyed = false;
	w->comma = true;
}

static void open_container(struct json_writer *w, char bracket, bool array)
{
	uint64_t bit;

	before_value(w);
	CHECK(w->depth < NESTING_MAX);
	bit = UINT64_C(1) << w->depth++;
	w->arrays = array ? w->arrays | bit : w->arrays & ~bit;
	w->comma = false;
	buf_putc(w->into, bracket);
}

static void close_container(struct json_writer *w, char bracket, bool array)
{
	CHECK(w->depth && !w->keyed && in_array(w) == array);
	w->depth--;
	w->comma = true;
	buf_putc(w->into, bracket);
}

void json_open_object(struct json_writer *w)
{
	open_container(w, '{', false);
}

void json_close_object(struct json_writer *w)
{
	close_container(w, '}', false);
}

void json_open_array(struct json_writer *w)
{
	open_container(w, '[', true);
}

void json_close_array(struct json_writer *w)
{
	close_container(w, ']', true);
}

static bool is_plain(char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_escape(struct buf *into, char c)
{
	switch (c) {
	case '"':
		buf_puts(into, "\\\"");
		break;
	case '\\':
		buf_puts(into, "\\\\");
		break;
	case '\n':
		buf_puts(into, "\\n");
		break;
	case '\r':
		buf_puts(into, "\\r");
		break;
	case '\t':
		buf_puts(into, "\\t");
		break;
	default:
		buf_format(into, "\\u%04x", (unsigned)c);
	}
}

static size_t plain_len(struct str s)
{
	size_t len = 0;

	while (len < s.len && is_plain(s.at[len]))
		len++;
	return len;
}

static void put_escaped(struct buf *into, struct str s)
{
	buf_putc(into, '"');
	while (s.len) {
		size_t len = plain_len(s);

		buf_append(into, s.at, len);
		s = str_from(s.at + len, s.len - len);
		if (!s.len)
			break;
		len = str_utf8_len(s);
		if (len == 0)
			buf_puts(into, "\xef\xbf\xbd");
		else if (len == 1)
			put_escape(into, s.at[0]);
		else
			buf_append(into, s.at, len);
		len = len ? len : 1;
		s = str_from(s.at + len, s.len - len);
	}
	buf_putc(into, '"');
}

/* Nearly all are plain, and put at once. */
static void put_string(struct buf *into, struct str s)
{
	char *at;

	if (plain_len(s) < s.len) {
		put_escaped(into, s);
		return;
	}
	at = buf_reserve(into, s.len + 2);
	if (!at)
		return;
	at[0] = '"';
	if (s.len)
		memcpy(at + 1, s.at, s.len);
	at[s.len + 1] = '"';
	buf_grew(into, s.len + 2);
}

void json_key(struct json_writer *w, struct str key)
{
	CHECK(w->depth && !in_array(w) && !w->keyed);
	separate(w);
	put_string(w->into, key);
	buf_putc(w->into, ':');
	w->keyed = true;
}

void json_value_str(struct json_writer *w, struct str value)
{
	before_value(w);
	put_string(w->into, value);
}

void json_value_int(struct json_writer *w, int64_t value)
{
	before_value(w);
	buf_format(w->into, "%" PRId64, value);
}

void json_value_bool(struct json_writer *w, bool value)
{
	before_value(w);
	buf_puts(w->into, value ? "true" : "false");
}

static void value_null(struct json_writer *w)
{
	before_value(w);
	buf_puts(w->into, "null");
}

void json_value_decimal(struct json_writer *w, double value, unsigned digits)
{
	char text[400]; /* the longest double has 309 digits */
	size_t len;

	if (!isfinite(value)) {
		value_null(w);
		return;
	}
	before_value(w);
	len = (size_t)snprintf(text, sizeof(text), "%.*f", (int)digits, value);
	while (digits && text[len - 1] == '0')
		len--;
	len -= text[len - 1] == '.';
	buf_append(w->into, text, len);
}

/* Enough digits to read the same number back, and never the look of an integer. */
static void value_real(struct json_writer *w, double value)
{
	char text[40];

	before_value(w);
	(void)snprintf(text, sizeof(text), "%.17g", value);
	buf_puts(w->into, text);
	if (!strpbrk(text, ".e"))
		buf_puts(w->into, ".0");
}

static void value_array(struct json_writer *w, const struct json *node)
{
	json_open_array(w);
	for (size_t i = 0; i < json_len(node); i++)
		json_value_node(w, json_at(node, i));
	json_close_array(w);
}

static void value_object(struct json_writer *w, const struct json *node)
{
	const struct json *value;
	void *it = NULL;
	struct str key;

	json_open_object(w);
	while (json_next(node, &it, &key, &value)) {
		json_key(w, key);
		json_value_node(w, value);
	}
	json_close_object(w);
}

/* Recursion is bounded: documents are, and so is the writer's depth. A node that would pass the
 * latter, being nested in containers of the caller, fails the buffer. */
void json_value_node(struct json_writer *w, const struct json *node)
{
	enum json_kind kind = json_kind(node);

	if ((kind == JSON_ARRAY || kind == JSON_OBJECT) && w->depth == NESTING_MAX) {
		w->into->failed = true;
		kind = JSON_NULL;
	}
	switch (kind) {
	case JSON_NONE:
	case JSON_NULL:
		value_null(w);
		break;
	case JSON_BOOL:
		json_value_bool(w, json_typeof(node_of(node)) == JANSSON_TRUE);
		break;
	case JSON_INTEGER:
		json_value_int(w, json_integer_value(node_of(node)));
		break;
	case JSON_REAL:
		value_real(w, json_real_value(node_of(node)));
		break;
	case JSON_STRING:
		json_value_str(w, json_str(node));
		break;
	case JSON_ARRAY:
		value_array(w, node);
		break;
	case JSON_OBJECT:
		value_object(w, node);
		break;
	}
}

void json_put_str(struct json_writer *w, const char *key, struct str value)
{
	json_key(w, str_of(key));
	json_value_str(w, value);
}

void json_put_text(struct json_writer *w, const char *key, const char *value)
{
	if (value)
		json_put_str(w, key, str_of(value));
}

void json_put_int(struct json_writer *w, const char *key, int64_t value)
{
	json_key(w, str_of(key));
	json_value_int(w, value);
}

void json_put_uint(struct json_writer *w, const char *key, uint64_t value)
{
	json_put_int(w, key, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

void json_put_bool(struct json_writer *w, const char *key, bool value)
{
	json_key(w, str_of(key));
	json_value_bool(w, value);
}

const char *json_library(void)
{
	return jansson_version_str();
}
