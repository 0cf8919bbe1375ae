/* SPDX-License-Identifier: Apache-2.0 */
/* search_rig - a member with a registry on a folder, and its search; images to be pushed into it. */
#pragma once

#include "tests/unit/worker/registry/registry_rig.h"

#include <string.h>
#include <sys/stat.h>

#include "common/json.h"
#include "proto/digest.h"
#include "proto/ring.h"
#include "worker/search/search.h"

#define IMAGE_CONFIG "application/vnd.oci.image.config.v1+json"
#define IMAGE_LAYER  "application/vnd.oci.image.layer.v1.tar"

struct world {
	struct registry_rig rig;
	struct metadata *md;
	struct search *search;
	char data[80];
	const char *forbidden, *kept, *starred;
	const struct ring *ring; /* and our place in it; NULL: all is ours */
	int place;
	struct buf answer;
	unsigned status;
};

static inline uint64_t ring_of(void *arg)
{
	(void)arg;
	return 1;
}

static inline bool owns(void *arg, struct str name)
{
	const struct world *world = arg;

	return !world->ring || ring_owner(world->ring, name) == world->place;
}

static inline bool may_read(void *arg, struct str name)
{
	const char *forbidden = ((struct world *)arg)->forbidden;

	return !forbidden || !str_is(name, forbidden);
}

static inline bool may_delete(void *arg, struct str name)
{
	const char *kept = ((struct world *)arg)->kept;

	return !kept || !str_is(name, kept);
}

static inline bool is_starred(void *arg, struct str name)
{
	const char *starred = ((struct world *)arg)->starred;

	return starred && str_is(name, starred);
}

static inline uint64_t stars(void *arg, struct str name)
{
	return is_starred(arg, name) ? 3 : 0;
}

/* The manifest of an image, whose blobs are there then. */
static inline void make_image(struct world *world, const char *name, const char *os, const char *day,
	const char *const *layers, size_t layers_len, struct buf *bytes)
{
	AUTO_FINI(buf) config = buf_limit(4096);
	char text[DIGEST_TEXT_SIZE];
	struct digest digest;

	buf_format(&config,
		"{\"os\":\"%s\",\"architecture\":\"amd64\",\"created\":\"2024-01-%sT00:00:00Z\",\"history\":["
		"{\"created_by\":\"ADD\"}]}",
		os, day);
	digest = put_blob(&world->rig, name, buf_str(&config));
	digest_format(&digest, text);
	buf_format(bytes,
		"{\"schemaVersion\":2,\"mediaType\":\"" IMAGE "\",\"config\":{\"mediaType\":\"" IMAGE_CONFIG
		"\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[",
		text, config.len);
	for (size_t i = 0; i < layers_len; i++) {
		digest = put_blob(&world->rig, name, str_of(layers[i]));
		digest_format(&digest, text);
		buf_format(bytes, "%s{\"mediaType\":\"" IMAGE_LAYER "\",\"digest\":\"%s\",\"size\":%zu}",
			i ? "," : "", text, strlen(layers[i]));
	}
	buf_puts(bytes, "],\"annotations\":{\"org.opencontainers.image.vendor\":\"us\"}}");
}

static inline struct digest push(struct world *world, const char *name, const char *tag, const char *os,
	const char *day, const char *const *layers, size_t layers_len)
{
	AUTO_FINI(buf) bytes = buf_limit(16 * 1024);

	make_image(world, name, os, day, layers, layers_len, &bytes);
	return put_manifest(&world->rig, name, tag, buf_str(&bytes));
}

static inline struct world *world_new(void)
{
	struct world *world = xnew(struct world);
	struct metadata_settings settings = { .ring = ring_of, .owns = owns };

	registry_rig_open(&world->rig);
	(void)snprintf(world->data, sizeof(world->data), "%s/.data", world->rig.folder);
	settings.registry = world->rig.registry;
	settings.data = world->data;
	settings.arg = world;
	world->md = metadata_new(&settings);
	world->search = search_new(world->md);
	world->answer = buf_limit(1024 * 1024);
	return world;
}

static inline void world_free(struct world *world)
{
	buf_fini(&world->answer);
	registry_stop(world->rig.registry);
	search_free(world->search);
	metadata_free(world->md);
	pool_free(world->rig.pool);
	registry_free(world->rig.registry);
	spool_free(world->rig.spool);
	store_free(world->rig.store);
	assert_true(remove_tree(world->rig.folder));
	free(world);
}
