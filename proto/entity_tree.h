/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_tree - entities in an order, immutable and shared: a change makes another tree that has all but a few nodes in common with
 * the one before. It costs the same with a thousand entities and with a million.
 *
 *     struct entity_tree *now = entity_tree_ref(before);
 *     entity_tree_put(&now, &by_id, entity);              before is what it was
 *
 * A tree is a counted pointer, NULL the empty one. A change to one that nobody else holds is made in place, so a tree that is built of
 * many entities is not copied again and again.
 * Sorted by a key of the entity, and of equal keys by id. An order is the same for all calls of a tree.
 *
 * Inside  a B+ tree: nodes of up to ENTITY_TREE_WIDTH entities or nodes, each with how many entities are below it.
 * Thread  any; one at a time may change the same pointer.
 */
#pragma once

#include "proto/entity.h"

#define ENTITY_TREE_WIDTH 32u

struct entity_tree;
struct entity_tree *entity_tree_ref(struct entity_tree *tree);
void entity_tree_free(struct entity_tree *tree); /* drops a reference */

struct entity_order {
	struct str (*key)(const struct entity *entity); /* borrowed from the entity */
};

size_t entity_tree_len(const struct entity_tree *tree);
/* Borrowed; NULL behind the end. */
struct entity *entity_tree_at(const struct entity_tree *tree, size_t place);
/* The first place whose (key, id) is not before these. */
size_t entity_tree_place(const struct entity_tree *tree, const struct entity_order *order, struct str key, struct str id);

/* The first whose (key, id) is not before these, borrowed; NULL behind the end. Without its place: so it looks at one node of each level. */
struct entity *entity_tree_find(const struct entity_tree *tree, const struct entity_order *order, struct str key, struct str id);

/* *tree becomes the one with a reference of this entity, in the place of one that has its key and id. */
void entity_tree_put(struct entity_tree **tree, const struct entity_order *order, struct entity *entity);
/* *tree becomes the one without the entity of that key and id; as it is where there is none. */
void entity_tree_remove(struct entity_tree **tree, const struct entity_order *order, struct str key, struct str id);

/*
 * Many at once: *tree becomes the one without `gone`, which are its own, and with `came`. Both are in the tree's order, without two of one key and
 * id, and nothing of `came` has the key and id of what stays. Where they are many beside the tree it is built anew in one pass, with full nodes.
 */
struct entity_list { struct entity **at; size_t len; };
void entity_tree_merge(struct entity_tree **tree, const struct entity_order *order, const struct entity_list *gone, const struct entity_list *came);

/* Its entities in their order, borrowed; room for entity_tree_len(). */
void entity_tree_list(const struct entity_tree *tree, struct entity **into);

/* In the tree's order; what is equal stays as it was. A list that is in order already costs one look at each. */
void entity_list_sort(struct entity_list *list, const struct entity_order *order);
