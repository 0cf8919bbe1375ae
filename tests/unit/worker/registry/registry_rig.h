/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_rig - a registry on a folder, without any HTTP, and images to be put into it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/check.h"
#include "common/file.h"
#include "common/pool.h"
#include "tests/unit/remove_tree.h"
#include "worker/registry/registry.h"
#include "worker/storage/spool.h"
#include "worker/storage/store.h"

struct registry_rig {
	char folder[64], spool_folder[96];
	struct pool *pool;
	struct store *store;
	struct spool *spool;
	struct registry *registry;
};

static inline int64_t rig_trust(void *arg, struct str name)
{
	(void)arg;
	(void)name;
	return 60000;
}

static inline void registry_rig_open(struct registry_rig *rig)
{
	struct registry_settings settings = { .self = "here",
		.trust = rig_trust,
		.index_cache_bytes = 8 * 1024 * 1024,
		.manifest_cache_bytes = 8 * 1024 * 1024,
		.pulls_every_ms = 1000,
		.uploads = { .sessions = 8, .sessions_each = 8, .files = 8, .share = 100 },
		.options = { .require_blobs = true } };
	struct error err;

	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/test-registry.XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	(void)snprintf(rig->spool_folder, sizeof(rig->spool_folder), "%s/.spool", rig->folder);
	assert_true(pool_new(&rig->pool, 2, 100, &err));
	assert_true(store_fs_open(&rig->store, rig->folder, &err));
	assert_true(file_make_folders(rig->spool_folder, 0700, &err));
	assert_true(spool_open(&rig->spool, rig->spool_folder, 1 << 30, true, &err));
	settings.pool = rig->pool;
	settings.store = rig->store;
	settings.spool = rig->spool;
	rig->registry = registry_new(&settings);
}

static inline void registry_rig_close(struct registry_rig *rig)
{
	registry_stop(rig->registry);
	pool_free(rig->pool);
	registry_free(rig->registry);
	spool_free(rig->spool);
	store_free(rig->store);
	assert_true(remove_tree(rig->folder));
}

static inline struct digest put_blob(struct registry_rig *rig, const char *name, struct str bytes)
{
	struct digest digest = digest_of(HASH_SHA256, bytes);
	struct upload *upload;
	struct error err;
	bool over;

	assert_true(uploads_open(
		rig->registry->uploads, STR("a chore"), str_of(name), HASH_SHA256, &upload, &err));
	hasher_add(upload->hasher, bytes.at, bytes.len);
	assert_true(upload_append(upload, bytes.at, bytes.len, &err));
	if (!registry_finish(rig->registry, upload, &digest, &over, &err))
		fail_msg("%s", err.text);
	assert_true(over);
	return digest;
}

#define CONFIG STR("{}")
#define LAYER  STR("layer")

static inline void format_image(struct buf *into)
{
	struct digest config = digest_of(HASH_SHA256, CONFIG), layer = digest_of(HASH_SHA256, LAYER);
	char config_text[DIGEST_TEXT_SIZE], layer_text[DIGEST_TEXT_SIZE];

	digest_format(&config, config_text);
	digest_format(&layer, layer_text);
	buf_format(into,
		"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
		"\"config\":{\"mediaType\":\"application/"
		"vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":2},"
		"\"layers\":[{\"mediaType\":\"application/"
		"vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":5}]}",
		config_text, layer_text);
}

static inline bool put_image(struct registry_rig *rig, const char *name, const char *tag, struct registry_push *push)
{
	AUTO_FINI(buf) bytes = buf_limit(4096);
	struct error err;

	format_image(&bytes);
	push->name = name;
	push->tags = &tag;
	push->tags_len = 1;
	push->bytes = buf_str(&bytes);
	return registry_put_wait(rig->registry, push, &err);
}

#define IMAGE "application/vnd.oci.image.manifest.v1+json"

/* tag NULL: by its digest. */
static inline struct digest put_manifest(struct registry_rig *rig, const char *name, const char *tag, struct str bytes)
{
	struct registry_push push = { .name = name,
		.tags = &tag,
		.tags_len = tag != NULL,
		.bytes = bytes,
		.may_create = true,
		.may_update = true };
	struct error err;

	if (!registry_put_wait(rig->registry, &push, &err))
		fail_msg("%s", err.text);
	return push.stored;
}

/* An image of CONFIG, another one for each note; subject: or NULL. */
static inline struct digest put_noted_image(struct registry_rig *rig, const char *name, const char *tag, const char *note,
	const struct digest *subject)
{
	AUTO_FINI(buf) bytes = buf_limit(4096);
	struct digest config = digest_of(HASH_SHA256, CONFIG);
	char text[DIGEST_TEXT_SIZE];

	digest_format(&config, text);
	buf_format(&bytes,
		"{\"schemaVersion\":2,\"mediaType\":\"" IMAGE "\",\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\","
		"\"digest\":\"%s\",\"size\":2},\"layers\":[],\"annotations\":{\"note\":\"%s\"}",
		text, note);
	if (subject) {
		digest_format(subject, text);
		buf_format(&bytes, ",\"subject\":{\"mediaType\":\"" IMAGE "\",\"digest\":\"%s\",\"size\":9}", text);
	}
	buf_putc(&bytes, '}');
	return put_manifest(rig, name, tag, buf_str(&bytes));
}
