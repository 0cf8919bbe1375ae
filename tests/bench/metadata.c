/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata - what questions of a search cost: a registry on a folder with so many repositories of so many images, derived, and then asked.
 *
 *     bench_metadata FOLDER [REPOSITORIES 10000] [IMAGES 10] [QUESTIONS 500]
 *
 * Each image has a manifest and a config of its own and ten layers, the first five of which many share. Prints how long deriving took, and of each kind of
 * question p50, p99 and the worst, in ms.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/pool.h"
#include "worker/metadata/metadata.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define LAYERS 10

struct bench {
	struct registry *registry;
	struct store *store;
	struct metadata *md;
	unsigned repositories, images, questions;
};

static uint64_t ring_of(void *arg)
{
	(void)arg;
	return 1;
}

static bool owns(void *arg, struct str name)
{
	(void)arg;
	(void)name;
	return true;
}

static int64_t trust(void *arg, struct str name)
{
	(void)arg;
	(void)name;
	return 60000;
}

static bool may_read(void *arg, struct str name)
{
	(void)arg;
	return name.len > 0;
}

static void must(bool ok, const struct error *err)
{
	if (ok)
		return;
	(void)fprintf(stderr, "%s\n", err->text);
	exit(1);
}

/* ---- the images, as files that another tool has made ---- */

static void write_file(const char *path, struct str bytes)
{
	FILE *file = fopen(path, "w");

	CHECK(file && fwrite(bytes.at, 1, bytes.len, file) == bytes.len && fclose(file) == 0);
}

static void put(const char *folder, struct str bytes, char digest_text[DIGEST_TEXT_SIZE])
{
	struct digest digest = digest_of(HASH_SHA256, bytes);
	char path[512];

	digest_format(&digest, digest_text);
	(void)snprintf(path, sizeof(path), "%s/blobs/sha256/%s", folder, digest_text + 7);
	write_file(path, bytes);
}

static void layer_of(unsigned r, unsigned i, unsigned at, char text[DIGEST_TEXT_SIZE])
{
	char seed[64];
	struct digest digest;

	if (at < 5)
		(void)snprintf(seed, sizeof(seed), "base %u %u", r % 200, at);
	else
		(void)snprintf(seed, sizeof(seed), "own %u %u %u", r, i, at);
	digest = digest_of(HASH_SHA256, str_of(seed));
	digest_format(&digest, text);
}

static void make_image(const char *folder, unsigned r, unsigned i, struct buf *index)
{
	AUTO_FINI(buf) config = buf_limit(65536);
	AUTO_FINI(buf) manifest = buf_limit(65536);
	char digest[DIGEST_TEXT_SIZE];

	buf_format(&config,
		"{\"created\":\"2024-01-%02uT%02u:%02u:00Z\",\"os\":\"linux\",\"architecture\":\"%s\","
		"\"config\":{\"Labels\":{"
		"\"org.opencontainers.image.title\":\"app "
		"%u\",\"org.opencontainers.image.vendor\":\"v%u\"}},\"history\":[",
		r % 28 + 1, r / 28 % 24, i % 60, i % 3 ? "amd64" : "arm64", r, r % 50);
	for (unsigned at = 0; at < 15; at++)
		buf_format(&config,
			"%s{\"created\":\"2024-01-01T00:00:00Z\",\"created_by\":\"RUN step %u of repository "
			"%u image %u, and what else is in "
			"such a line\",\"empty_layer\":%s}",
			at ? "," : "", at, r, i, at < LAYERS ? "false" : "true");
	buf_puts(&config, "]}");
	put(folder, buf_str(&config), digest);
	buf_format(&manifest,
		"{\"schemaVersion\":2,\"mediaType\":\"application/"
		"vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":"
		"\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[",
		digest, config.len);
	for (unsigned at = 0; at < LAYERS; at++) {
		layer_of(r, i, at, digest);
		buf_format(&manifest,
			"%s{\"mediaType\":\"application/"
			"vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":1000}",
			at ? "," : "", digest);
	}
	buf_puts(&manifest, "]}");
	put(folder, buf_str(&manifest), digest);
	buf_format(index,
		"%s{\"mediaType\":\"application/"
		"vnd.oci.image.manifest.v1+json\",\"digest\":\"%s\",\"size\":%zu,\"annotations\":{"
		"\"org.opencontainers.image.ref.name\":\"1.%u.%u-%x\"}}",
		i ? "," : "", digest, manifest.len, i, r % 100, r * 7919u + i);
}

static void make_repository(const char *root, unsigned r, unsigned images)
{
	AUTO_FINI(buf) index = buf_limit(64u * 1024 * 1024);
	char folder[256], path[512];
	struct error err;

	(void)snprintf(folder, sizeof(folder), "%s/team%u/app%u", root, r % 100, r);
	(void)snprintf(path, sizeof(path), "%s/blobs/sha256", folder);
	must(file_make_folders(path, 0700, &err), &err);
	buf_puts(&index, "{\"schemaVersion\":2,\"manifests\":[");
	for (unsigned i = 0; i < images; i++)
		make_image(folder, r, i, &index);
	buf_puts(&index, "]}");
	(void)snprintf(path, sizeof(path), "%s/oci-layout", folder);
	write_file(path, STR("{\"imageLayoutVersion\":\"1.0.0\"}"));
	(void)snprintf(path, sizeof(path), "%s/index.json", folder);
	write_file(path, buf_str(&index));
}

/* ---- questions ---- */

typedef uint64_t question_f(
	struct bench *bench, unsigned n, struct metadata_query *query, struct arena *arena);

static uint64_t total_of(bool ok, const struct metadata_images *found, const struct error *err)
{
	must(ok, err);
	return found->total;
}

static uint64_t ask_repositories(
	struct bench *bench, struct str text, struct metadata_query *query, struct arena *arena)
{
	struct metadata_repositories found;
	struct error err;

	query->want = METADATA_NEWEST;
	must(metadata_repositories(bench->md, text, query, arena, &found, &err), &err);
	return found.total;
}

static uint64_t home(struct bench *bench, unsigned n, struct metadata_query *query, struct arena *arena)
{
	query->sort = METADATA_DOWNLOADS;
	query->offset = n % 50 * 20;
	return ask_repositories(bench, STR_NONE, query, arena);
}

static uint64_t newest(struct bench *bench, unsigned n, struct metadata_query *query, struct arena *arena)
{
	query->sort = METADATA_UPDATE_TIME;
	query->offset = n % 500 * 20;
	return ask_repositories(bench, STR_NONE, query, arena);
}

static uint64_t by_name(struct bench *bench, unsigned n, struct metadata_query *query, struct arena *arena)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "app%u", n % 100);
	return ask_repositories(bench, str_of(text), query, arena);
}

static uint64_t filtered(struct bench *bench, unsigned n, struct metadata_query *query, struct arena *arena)
{
	static const struct str arch = { "arm64", 5 };

	(void)n;
	query->by_platform = true;
	query->arch = &arch;
	query->arch_len = 1;
	return ask_repositories(bench, STR_NONE, query, arena);
}

static uint64_t by_tag(struct bench *bench, unsigned n, struct metadata_query *query, struct arena *arena)
{
	struct metadata_images found;
	struct error err = { .text = "" };
	char text[16];

	(void)snprintf(text, sizeof(text), "%u-%x", n % 100, n % 16);
	return total_of(
		metadata_by_tag_part(bench->md, str_of(text), query, arena, &found, &err), &found, &err);
}

static uint64_t all_images(struct bench *bench, unsigned n, struct metadata_query *query, struct arena *arena)
{
	struct metadata_images found;
	struct error err = { .text = "" };

	query->sort = METADATA_UPDATE_TIME;
	query->offset = n % 50 * 20;
	return total_of(metadata_images(bench->md, STR_NONE, query, arena, &found, &err), &found, &err);
}

static uint64_t by_digest(struct bench *bench, unsigned n, struct metadata_query *query, struct arena *arena)
{
	struct metadata_images found;
	struct error err = { .text = "" };
	char text[DIGEST_TEXT_SIZE];

	layer_of(n % bench->repositories, n % bench->images, n % LAYERS, text);
	return total_of(
		metadata_by_digest(bench->md, str_from(text, 7 + 8 + n % 57), query, arena, &found, &err),
		&found, &err);
}

static uint64_t derived(struct bench *bench, unsigned n, struct metadata_query *query, struct arena *arena)
{
	struct image_layer layers[5];
	const struct metadata_reference reference = { .layers = layers, .layers_len = 5 };
	struct metadata_images found;
	struct error err = { .text = "" };
	char text[DIGEST_TEXT_SIZE];

	for (unsigned at = 0; at < 5; at++) {
		layer_of(n % bench->repositories, 0, at, text);
		CHECK(digest_parse(str_of(text), &layers[at].digest, NULL));
	}
	return total_of(metadata_derived(bench->md, &reference, 1, query, arena, &found, &err), &found, &err);
}

static uint64_t one_repository(
	struct bench *bench, unsigned n, struct metadata_query *query, struct arena *arena)
{
	struct metadata_repository repository;
	struct metadata_images found;
	struct error err = { .text = "" };
	char name[64];

	(void)snprintf(
		name, sizeof(name), "team%u/app%u", n % bench->repositories % 100, n % bench->repositories);
	return total_of(metadata_repository(bench->md, str_of(name), query, arena, &repository, &found, &err),
		&found, &err);
}

static int compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void measure(struct bench *bench, const char *what, question_f *question)
{
	int64_t *us = xnew_array(int64_t, bench->questions);
	uint64_t total = 0;

	for (unsigned n = 0; n < bench->questions; n++) {
		AUTO_FINI(arena) arena = arena_limit((size_t)64 * 1024 * 1024);
		struct metadata_query query = { .who = { .may_read = may_read }, .limit = 20 };
		int64_t began = clock_us();

		total += question(bench, n, &query, &arena);
		us[n] = clock_us() - began;
	}
	qsort(us, bench->questions, sizeof(*us), compare);
	(void)printf("%-28s p50 %6.2f  p99 %6.2f  worst %6.2f ms   %" PRIu64 " found on average\n", what,
		(double)us[bench->questions / 2] / 1000, (double)us[bench->questions * 99 / 100] / 1000,
		(double)us[bench->questions - 1] / 1000, total / bench->questions);
	free(us);
}

static void derive(struct bench *bench)
{
	struct metadata_done done;
	struct metadata_stats stats;
	struct error err;
	int64_t began = clock_us();

	must(metadata_work(bench->md, NULL, &done, &err), &err);
	must(metadata_work(bench->md, NULL, &done, &err), &err);
	stats = metadata_stats(bench->md);
	(void)printf("derived %" PRIu64 " repositories, %" PRIu64 " images in %.1f s, file %.0f MiB\n",
		stats.derived, stats.images, (double)(clock_us() - began) / 1e6,
		(double)stats.file_bytes / 1048576);
}

int main(int argc, char **argv)
{
	struct bench bench = { .repositories = 10000, .images = 10, .questions = 500 };
	unsigned *const numbers[] = { &bench.repositories, &bench.images, &bench.questions };
	struct registry_settings settings = { .self = "here",
		.trust = trust,
		.index_cache_bytes = 64u * 1024 * 1024,
		.manifest_cache_bytes = 1024 * 1024 };
	struct metadata_settings md = { .ring = ring_of, .owns = owns };
	struct store_import import = { 0 };
	char data[256];
	uint64_t found;
	struct error err;

	CHECK(argc > 1);
	for (int i = 2; i < argc && i < 5; i++) {
		uint64_t n;

		CHECK(str_to_number(str_of(argv[i]), 10000000, &n) && n);
		*numbers[i - 2] = (unsigned)n;
	}
	for (unsigned r = 0; r < bench.repositories; r++)
		make_repository(argv[1], r, bench.images);
	must(pool_new(&settings.pool, 2, 100, &err), &err);
	must(store_fs_open(&bench.store, argv[1], &err), &err);
	must(store_import(bench.store, &import, &found, &err), &err);
	settings.store = bench.store;
	bench.registry = registry_new(&settings);
	(void)snprintf(data, sizeof(data), "%s/.data", argv[1]);
	md.registry = bench.registry;
	md.data = data;
	bench.md = metadata_new(&md);
	derive(&bench);
	measure(&bench, "repositories by downloads", home);
	measure(&bench, "repositories by time", newest);
	measure(&bench, "repositories by a name", by_name);
	measure(&bench, "repositories of a platform", filtered);
	measure(&bench, "images by a part of a tag", by_tag);
	measure(&bench, "all images by time", all_images);
	measure(&bench, "images by a digest", by_digest);
	measure(&bench, "derived images", derived);
	measure(&bench, "one repository", one_repository);
	registry_stop(bench.registry);
	metadata_free(bench.md);
	pool_free(settings.pool);
	registry_free(bench.registry);
	store_free(bench.store);
	return 0;
}
