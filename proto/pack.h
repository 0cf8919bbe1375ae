/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack - msgpack values, written to a buf and read from bounded bytes (msgpack-c's one home).
 *
 * Reading parses the whole document first, within bounds: bytes as given, nesting 16, 32 million
 * nodes (24 bytes of memory each) or what the caller says, nothing after the root, and no array or map that claims more elements than bytes are left.
 * Nodes are borrowed from the document; texts are borrowed from the bytes that were parsed, which
 * must live as long as the document. Accessors cope with NULL nodes.
 * Writing: a text over 4 GiB fails the buffer.
 * Thread  a document belongs to one thread at a time.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

void pack_map(struct buf *into, size_t pairs);
void pack_array(struct buf *into, size_t len);
void pack_str(struct buf *into, struct str s);
void pack_uint(struct buf *into, uint64_t n);
void pack_int(struct buf *into, int64_t n);
void pack_bool(struct buf *into, bool b);
void pack_bin(struct buf *into, struct str bytes);
struct pack_node;
/* What was read, all of it, in the shortest form: the bytes that this header's writers made, if they made it. */
void pack_again(struct buf *into, const struct pack_node *node);

/*
 * A large document whose elements are looked at one by one, without memory for all of its nodes: checked first, by the same bounds; from
 * then on each node is a part of its bytes, which pack_parse() reads.
 *
 *     pack_check_within(bytes, most, &err) && pack_open_array(bytes, &len, &rest)
 *     while (pack_next(&rest, &node)) ...
 */
bool pack_check_within(struct str bytes, size_t most_nodes, struct error *err) MUST_CHECK;
/* How many elements, or pairs, it has, and their bytes: a pair is two nodes. False: it is none. */
bool pack_open_array(struct str node, size_t *ret_len, struct str *ret_inside) MUST_CHECK;
bool pack_open_map(struct str node, size_t *ret_len, struct str *ret_inside) MUST_CHECK;
/* The first node goes from `rest` to `ret_node`. False: nothing is left. */
bool pack_next(struct str *rest, struct str *ret_node) MUST_CHECK;

struct pack_doc;
bool pack_parse(struct str bytes, struct pack_doc **ret_doc, struct error *err) MUST_CHECK;
bool pack_parse_within(struct str bytes, size_t most_nodes, struct pack_doc **ret_doc, struct error *err) MUST_CHECK;
void pack_doc_free(struct pack_doc *doc);
AUTO_DEFINE(pack_doc)
const struct pack_node *pack_root(const struct pack_doc *doc);
/* NULL when absent or no map. */
const struct pack_node *pack_find(const struct pack_node *map, const char *key);
size_t                  pack_len(const struct pack_node *node); /* elements or pairs; 0 for all else */
const struct pack_node *pack_at(const struct pack_node *array, size_t at);
void pack_pair(const struct pack_node *map, size_t at, const struct pack_node **ret_key,
	       const struct pack_node **ret_value);
bool pack_get_str(const struct pack_node *node, struct str *ret); /* str or bin */
bool pack_get_int(const struct pack_node *node, int64_t *ret);
bool pack_get_uint(const struct pack_node *node, uint64_t *ret);
bool pack_get_bool(const struct pack_node *node, bool *ret);
bool pack_is_array(const struct pack_node *node);
bool pack_is_map(const struct pack_node *node);
