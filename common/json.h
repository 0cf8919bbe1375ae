/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json - a parsed document to look into (jansson underneath), and a writer that appends to a buf.
 *
 * Reading: the document owns everything; nodes are borrowed and live as long as it does.
 * Duplicate keys, trailing text, NUL in strings and nesting over 64 are refused. Accessors cope
 * with NULL nodes, so a chain of finds needs one check at its end. The tree has at most the memory that the caller allows
 * (json_memory.h), whatever the text makes of it; all of it is the system's again when the document is freed.
 *
 * Writing: commas and quoting are the writer's; the caller opens and closes in order (checked).
 * Bytes that are not UTF-8 become U+FFFD, so what is written is always JSON.
 *
 *     struct json_writer w = json_writer(&buf);
 *     json_open_object(&w); json_put_str(&w, "name", name); json_close_object(&w);
 *
 * Thread  a document belongs to one thread at a time.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

struct json_doc;
struct json; /* a node */

enum json_kind { JSON_NONE, JSON_NULL, JSON_BOOL, JSON_INTEGER, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

#define JSON_MEMORY_MAX ((size_t)32 * 1024 * 1024)

/* ERROR_INVALID with line and column in its text; ERROR_TOO_LARGE: the tree takes more than JSON_MEMORY_MAX; ERROR_BUSY: it is large,
 * and others have all memory for large ones. */
bool json_parse(struct str text, struct json_doc **ret_doc, struct error *err) MUST_CHECK;
/* With another bound. */
bool json_parse_within(struct str text, size_t memory_max, struct json_doc **ret_doc, struct error *err) MUST_CHECK;
/* What this program wrote itself, and what must be read whatever else goes on: it waits for nobody. Trees of texts that somebody has
 * a use for take 4 to 19 times their length, so that this bounds only those of others. */
#define JSON_MEMORY_OWN(len) (24 * (len) + (size_t)1024 * 1024)
bool json_parse_own(struct str text, struct json_doc **ret_doc, struct error *err) MUST_CHECK;
size_t json_doc_memory(const struct json_doc *doc);
void json_doc_free(struct json_doc *doc);
AUTO_DEFINE(json_doc)
const struct json *json_root(const struct json_doc *doc);

enum json_kind     json_kind(const struct json *node); /* NULL gives JSON_NONE */
const char        *json_kind_name(enum json_kind kind);
const struct json *json_find(const struct json *object, const char *key); /* NULL when absent */
size_t             json_len(const struct json *node);                     /* array or object */
const struct json *json_at(const struct json *array, size_t at);
/* for (void *it = NULL; json_next(object, &it, &key, &value);) ... in the document's order */
bool json_next(const struct json *object, void **it, struct str *ret_key, const struct json **ret_value);

/* False when the node is of another kind (ret untouched). */
bool       json_get_str(const struct json *node, struct str *ret);
bool       json_get_int(const struct json *node, int64_t *ret);
bool       json_get_bool(const struct json *node, bool *ret);
struct str json_str(const struct json *node); /* STR_NONE unless a string */

struct json_writer {
	struct buf *into;
	uint64_t arrays; /* bit d: the container at depth d is an array */
	unsigned depth;
	bool comma, keyed;
};
struct json_writer json_writer(struct buf *into);
void json_open_object(struct json_writer *w);
void json_close_object(struct json_writer *w);
void json_open_array(struct json_writer *w);
void json_close_array(struct json_writer *w);
void json_key(struct json_writer *w, struct str key); /* inside an object, before a value */
void json_value_str(struct json_writer *w, struct str value);
void json_value_int(struct json_writer *w, int64_t value);
void json_value_bool(struct json_writer *w, bool value);
/* So many digits behind the point at most, 60 or less, without zeros at their end; what is no number is null. */
void json_value_decimal(struct json_writer *w, double value, unsigned digits);
void json_value_node(struct json_writer *w, const struct json *node); /* a parsed value, again; NULL: null */
void json_put_str(struct json_writer *w, const char *key, struct str value);
void json_put_text(struct json_writer *w, const char *key, const char *value); /* NULL is left out */
void json_put_int(struct json_writer *w, const char *key, int64_t value);
void json_put_uint(struct json_writer *w, const char *key, uint64_t value); /* above 2^63 - 1: 2^63 - 1 */
void json_put_bool(struct json_writer *w, const char *key, bool value);
const char *json_library(void); /* the version of jansson */
