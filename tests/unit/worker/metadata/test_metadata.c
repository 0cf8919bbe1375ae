/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_metadata - images are pushed into a registry on a folder, and the questions are asked: what is derived, what follows changes, what is passed
 * over, who sees what, and that the file may go at any time.
 */
#include "tests/unit/signing.h"
#include "tests/unit/worker/registry/registry_rig.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/latch.h"
#include "common/sqlite.h"
#include "proto/trust_key.h"
#include "worker/metadata/metadata.h"
#include "worker/trust/signers.h"

#define OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_INDEX  "application/vnd.oci.image.index.v1+json"
#define SIGNATURE  "application/vnd.cncf.notary.signature"

struct world {
	struct registry_rig rig;
	struct metadata *md;
	char data[80];
	uint64_t ring;
	const char *not_ours, *forbidden;
	unsigned woken;
	bool is_over;
	struct state *keys; /* whose signatures count; NULL: extensions.trust is off */
	struct arena arena;
};

static uint64_t ring_of(void *arg)
{
	return ((struct world *)arg)->ring;
}

static bool owns(void *arg, struct str name)
{
	struct world *world = arg;

	return !world->not_ours || !str_is(name, world->not_ours);
}

static bool may_read(void *arg, struct str name)
{
	struct world *world = arg;

	return !world->forbidden || !str_is(name, world->forbidden);
}

static void wake(void *arg)
{
	((struct world *)arg)->woken++;
}

static struct state *keys_of(void *arg)
{
	struct world *world = arg;

	return state_ref(world->keys);
}

static void open_metadata(struct world *world)
{
	const struct metadata_settings settings = { .registry = world->rig.registry,
		.data = world->data,
		.ring = ring_of,
		.owns = owns,
		.arg = world,
		.trust_by = world->keys ? SIGNERS_BY_COSIGN : 0,
		.trust_keys = keys_of,
		.trust_arg = world };

	world->md = metadata_new(&settings);
}

static int set_up(void **state, struct state *keys)
{
	struct world *world = xnew(struct world);

	world->keys = keys;
	registry_rig_open(&world->rig);
	(void)snprintf(world->data, sizeof(world->data), "%s/.data", world->rig.folder);
	world->ring = 1;
	open_metadata(world);
	metadata_on_change(world->md, wake, world);
	world->arena = arena_limit((size_t)64 * 1024 * 1024);
	*state = world;
	return 0;
}

static int setup(void **state)
{
	return set_up(state, NULL);
}

static int setup_with_keys(void **state)
{
	return set_up(state, state_new());
}

static int teardown(void **state)
{
	struct world *world = *state;

	arena_fini(&world->arena);
	state_free(world->keys);
	registry_stop(world->rig.registry);
	metadata_free(world->md);
	pool_free(world->rig.pool);
	registry_free(world->rig.registry);
	spool_free(world->rig.spool);
	store_free(world->rig.store);
	assert_true(remove_tree(world->rig.folder));
	free(world);
	return 0;
}

/* All of a test runs on the pool. */
struct job {
	void (*run)(struct world *world);
	struct world *world;
	struct latch done;
};

static void run_job(void *arg)
{
	struct job *job = arg;

	job->run(job->world);
	latch_open(&job->done);
}

static void in_pool(void **state, void (*run)(struct world *world))
{
	struct job job = { .run = run, .world = *state, .done = LATCH_INIT };

	assert_true(pool_submit(job.world->rig.pool, run_job, &job));
	latch_wait(&job.done);
}

static struct metadata_done work(struct world *world)
{
	struct metadata_done done;
	struct error err = { .text = "" };

	if (!metadata_work(world->md, NULL, &done, &err))
		fail_msg("%s", err.text);
	return done;
}

/* The file may be removed under it: that run fails, and says so. */
static bool work_or_fail(struct world *world)
{
	struct metadata_done done;
	struct error err = { .text = "" };
	bool ok = metadata_work(world->md, NULL, &done, &err);

	if (!ok && err.kind != ERROR_UNAVAILABLE)
		fail_msg("%s", err.text);
	return ok;
}

/* ---- images ---- */

static void put_link(struct buf *into, const char *type, const struct digest *digest, size_t size)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	buf_format(into, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu}", type, text, size);
}

struct made {
	const char *config;
	const char *const *layers;
	size_t layers_len;
	const char *more; /* ,"annotations":... */
	const struct digest *subject;
};

static struct digest make_image(
	struct world *world, const char *name, const char *tag, const struct made *made)
{
	AUTO_FINI(buf) bytes = buf_limit(16 * 1024);
	struct digest config = put_blob(&world->rig, name, str_of(made->config));

	buf_puts(&bytes, "{\"schemaVersion\":2,\"mediaType\":\"" IMAGE "\",\"config\":");
	put_link(&bytes, OCI_CONFIG, &config, strlen(made->config));
	buf_puts(&bytes, ",\"layers\":[");
	for (size_t i = 0; i < made->layers_len; i++) {
		struct digest layer = put_blob(&world->rig, name, str_of(made->layers[i]));

		buf_puts(&bytes, i ? "," : "");
		put_link(&bytes, "application/vnd.oci.image.layer.v1.tar", &layer, strlen(made->layers[i]));
	}
	buf_puts(&bytes, "]");
	if (made->subject) {
		buf_puts(&bytes, ",\"subject\":");
		put_link(&bytes, IMAGE, made->subject, 9);
	}
	buf_puts(&bytes, made->more ? made->more : "");
	buf_puts(&bytes, "}");
	assert_false(bytes.failed);
	return put_manifest(&world->rig, name, tag, buf_str(&bytes));
}

static const char *const two_layers[] = { "one", "two" };
static const char *const three_layers[] = { "one", "two", "three" };

#define CONFIG_OF(os, arch, day)                                                                             \
	"{\"os\":\"" os "\",\"architecture\":\"" arch "\",\"created\":\"2024-01-" day                        \
	"T00:00:00Z\",\"history\":[{\"created_by\":\"ADD\"},{\"created_by\":\"RUN\"}]}"

static struct digest simple(struct world *world, const char *name, const char *tag, const char *config)
{
	const struct made made = { .config = config, .layers = two_layers, .layers_len = 2 };

	return make_image(world, name, tag, &made);
}

static struct digest make_index(struct world *world, const char *name, const char *tag,
	const struct digest *a, const struct digest *b)
{
	AUTO_FINI(buf) bytes = buf_limit(4096);

	buf_puts(&bytes, "{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[");
	put_link(&bytes, IMAGE, a, 7);
	buf_puts(&bytes, ",");
	put_link(&bytes, IMAGE, b, 7);
	buf_puts(&bytes, "]}");
	return put_manifest(&world->rig, name, tag, buf_str(&bytes));
}

static struct metadata_query all_of(struct world *world)
{
	return (struct metadata_query){ .who = { .may_read = may_read, .arg = world }, .no_limit = true };
}

static struct metadata_images images(
	struct world *world, const char *name, const struct metadata_query *query)
{
	struct metadata_images found = { .len = 0 };
	struct error err;

	if (!metadata_images(world->md, str_of(name), query, &world->arena, &found, &err))
		fail_msg("%s", err.text);
	return found;
}

static struct metadata_repositories repositories(
	struct world *world, const char *text, const struct metadata_query *query)
{
	struct metadata_repositories found = { .len = 0 };
	struct error err;

	if (!metadata_repositories(world->md, str_of(text), query, &world->arena, &found, &err))
		fail_msg("%s", err.text);
	return found;
}

static struct metadata_image image(struct world *world, const char *name, const char *reference)
{
	struct metadata_query query = all_of(world);
	struct metadata_image found = { .tag = NULL };
	struct error err;

	query.want = METADATA_LAYERS | METADATA_HISTORY | METADATA_REFERRERS;
	if (!metadata_image(world->md, str_of(name), str_of(reference), &query, &world->arena, &found, &err))
		fail_msg("%s:%s %s", name, reference, err.text);
	return found;
}

/* ---- tests ---- */

static void tells_an_image(struct world *world)
{
	struct metadata_image found;
	struct digest digest = simple(world, "app", "v1", CONFIG_OF("linux", "amd64", "02"));

	assert_int_equal(world->woken, 1);
	assert_int_equal(work(world).repositories, 1);
	found = image(world, "app", "v1");
	assert_string_equal(found.repository, "app");
	assert_string_equal(found.tag, "v1");
	assert_true(digest_equal(&found.digest, &digest));
	assert_int_equal(found.updated_ms, INT64_C(1704153600000));
	assert_true(found.pushed_ms > found.updated_ms && found.tagged_ms == found.pushed_ms);
	assert_int_equal(found.manifests_len, 1);
	assert_string_equal(found.manifests[0].platform.os, "linux");
	assert_int_equal(found.manifests[0].layers_len, 2);
	assert_int_equal(found.manifests[0].history[1].layer, 1);
	assert_int_equal(found.signatures_len, 0);
	/* Nothing is to be done a second time. */
	assert_int_equal(work(world).repositories, 0);
	assert_int_equal(metadata_stats(world->md).derived, 1);
	assert_int_equal(metadata_stats(world->md).behind, 0);
}

static void tells_an_index(struct world *world)
{
	struct metadata_query query = all_of(world);
	struct digest a = simple(world, "multi", NULL, CONFIG_OF("linux", "amd64", "02"));
	struct digest b = simple(world, "multi", NULL, CONFIG_OF("linux", "arm64", "05"));
	struct metadata_repositories repos;
	struct metadata_image found;

	(void)make_index(world, "multi", "v1", &a, &b);
	(void)work(world);
	found = image(world, "multi", "v1");
	assert_int_equal(found.manifests_len, 2);
	assert_int_equal(found.updated_ms, INT64_C(1704412800000));
	assert_int_equal(found.size, found.manifests[0].size + found.manifests[1].size);
	query.want = METADATA_NEWEST;
	repos = repositories(world, "", &query);
	assert_int_equal(repos.len, 1);
	assert_int_equal(repos.at[0].platforms_len, 2);
	assert_string_equal(repos.at[0].platforms[1].arch, "arm64");
	assert_string_equal(repos.at[0].newest->tag, "v1");
	/* Only the index is tagged: two images beside it have no tag. */
	assert_int_equal(images(world, "multi", &query).total, 1);
	assert_true(repos.at[0].size > found.size / 2);
}

static void follows_changes(struct world *world)
{
	struct metadata_query query = all_of(world);
	struct digest first = simple(world, "app", "a", CONFIG_OF("linux", "amd64", "02"));
	struct registry_removal removal = { .name = "app", .reference = { .tag = "a" } };
	char text[DIGEST_TEXT_SIZE];
	struct error err;

	(void)work(world);
	/* A question about one repository needs no work before. */
	(void)simple(world, "app", "b", CONFIG_OF("linux", "amd64", "03"));
	assert_int_equal(images(world, "app", &query).total, 2);
	assert_true(registry_delete_wait(world->rig.registry, &removal, &err));
	assert_int_equal(images(world, "app", &query).total, 1);
	assert_string_equal(images(world, "app", &query).at[0].tag, "b");
	/* It is there still, by its digest. */
	digest_format(&first, text);
	assert_string_equal(image(world, "app", text).tag, "");
	/* A tag that moves. */
	(void)simple(world, "app", "b", CONFIG_OF("windows", "amd64", "04"));
	assert_string_equal(image(world, "app", "b").manifests[0].platform.os, "windows");
	removal.reference = (struct reference){ .is_digest = true, .digest = first };
	assert_true(registry_delete_wait(world->rig.registry, &removal, &err));
	(void)work(world);
	assert_false(metadata_image(world->md, STR("app"), str_of(text), &query, &world->arena,
		&(struct metadata_image){ 0 }, &err));
	assert_int_equal(err.kind, ERROR_UNKNOWN);
}

static void knows_signatures(struct world *world)
{
	struct metadata_query query = all_of(world);
	struct digest signed_one = simple(world, "app", "v1", CONFIG_OF("linux", "amd64", "02"));
	struct digest other = simple(world, "app", "v2", CONFIG_OF("linux", "amd64", "03"));
	const struct made notation = { .config = "{}",
		.layers = two_layers,
		.layers_len = 1,
		.more = ",\"artifactType\":\"" SIGNATURE "\"",
		.subject = &signed_one };
	const struct made sbom = { .config = "{}",
		.more = ",\"artifactType\":\"x/sbom\",\"annotations\":{\"k\":\"v\"}",
		.subject = &signed_one };
	struct registry_removal removal = { .name = "app" };
	char hex[129], tag[96];
	struct metadata_image found;
	struct error err;

	(void)work(world);
	query.is_signed = true;
	assert_int_equal(images(world, "app", &query).total, 0);
	removal.reference =
		(struct reference){ .is_digest = true, .digest = make_image(world, "app", NULL, &notation) };
	(void)make_image(world, "app", NULL, &sbom);
	assert_int_equal(images(world, "app", &query).total, 1);
	found = image(world, "app", "v1");
	assert_int_equal(found.signatures_len, 1);
	assert_string_equal(found.signatures[0].tool, "notation");
	assert_int_equal(found.referrers_len, 1);
	assert_string_equal(found.referrers[0].artifact_type, "x/sbom");
	assert_string_equal(found.referrers[0].annotations[0].value, "v");
	/* By cosign's tag, which is no image itself. */
	digest_encoded(&other, hex);
	(void)snprintf(tag, sizeof(tag), "sha256-%.64s.sig", hex);
	(void)simple(world, "app", tag, CONFIG_OF("linux", "amd64", "06"));
	assert_int_equal(images(world, "app", &query).total, 2);
	assert_string_equal(image(world, "app", "v2").signatures[0].tool, "cosign");
	assert_true(registry_delete_wait(world->rig.registry, &removal, &err));
	assert_int_equal(images(world, "app", &query).total, 1);
	query.is_signed = false;
	assert_int_equal(images(world, "app", &query).total, 2);
}

/* ---- trust ---- */

static void set_key(struct world *world, EVP_PKEY *pkey, bool there)
{
	AUTO_FINI(buf) pem = buf_limit(4096);
	AUTO(entity) *key = NULL;
	AUTO(entity) *gone = NULL;
	struct state *before = world->keys;

	signing_pem_of(pkey, &pem);
	assert_true(trust_key_new(TRUST_COSIGN, buf_str(&pem), &key, NULL));
	gone = entity_new_deleted(ENTITY_TRUST, entity_id(key), 0);
	world->keys = state_change(before, there ? &key : &gone, 1, state_revision(before) + 1);
	state_free(before);
}

/* As cosign does it, under its tag: one layer. */
static struct digest put_signature(
	struct world *world, const char *name, const struct digest *image, EVP_PKEY *key)
{
	AUTO_FINI(buf) payload = buf_limit(4096);
	AUTO_FINI(buf) base64 = buf_limit(4096);
	AUTO_FINI(buf) bytes = buf_limit(8192);
	struct digest config = put_blob(&world->rig, name, STR("{}")), layer;
	struct signing_der made;
	char text[DIGEST_TEXT_SIZE], hex[129], tag[96];

	digest_format(image, text);
	buf_format(&payload,
		"{\"critical\":{\"image\":{\"docker-manifest-digest\":\"%s\"},\"type\":\"cosign container "
		"image signature\"}}",
		text);
	made = signing_sign(key, "SHA256", false, buf_str(&payload));
	buf_base64(&base64, made.at, made.len);
	layer = put_blob(&world->rig, name, buf_str(&payload));
	digest_format(&layer, text);
	buf_puts(&bytes, "{\"schemaVersion\":2,\"mediaType\":\"" IMAGE "\",\"config\":");
	put_link(&bytes, OCI_CONFIG, &config, 2);
	buf_format(&bytes,
		",\"layers\":[{\"mediaType\":\"application/"
		"vnd.dev.cosign.simplesigning.v1+json\",\"digest\":\"%s\",\"size\":%zu,"
		"\"annotations\":{\"dev.cosignproject.cosign/signature\":\"%s\"}}]}",
		text, payload.len, buf_text(&base64));
	digest_encoded(image, hex);
	(void)snprintf(tag, sizeof(tag), "sha256-%.64s.sig", hex);
	return put_manifest(&world->rig, name, tag, buf_str(&bytes));
}

static bool is_trusted(struct world *world, const char *name)
{
	struct metadata_image found = image(world, name, "v1");

	assert_int_equal(found.signatures_len, 1);
	assert_int_equal(found.manifests[0].signatures[0].is_trusted, found.signatures[0].is_trusted);
	assert_true(found.signatures[0].is_trusted == (*found.signatures[0].author != '\0'));
	return found.signatures[0].is_trusted;
}

/* Asked about all: nothing is brought up to date for it. */
static bool is_listed_as_trusted(struct world *world, const char *name)
{
	struct metadata_query query = all_of(world);
	struct metadata_images all = images(world, "", &query);

	for (size_t i = 0; i < all.len; i++)
		if (!strcmp(all.at[i].repository, name))
			return all.at[i].signatures_len && all.at[i].signatures[0].is_trusted;
	fail_msg("%s is not there", name);
	return false;
}

static void trusts_by_the_keys_that_count(struct world *world)
{
	EVP_PKEY *key = signing_key("P-256"), *other = signing_key("P-256");
	struct digest image_a, image_b;
	char path[160];

	image_a = simple(world, "a", "v1", CONFIG_OF("linux", "amd64", "02"));
	image_b = simple(world, "b", "v1", CONFIG_OF("linux", "amd64", "03"));
	(void)put_signature(world, "a", &image_a, key);
	(void)put_signature(world, "b", &image_b, other);
	(void)work(world);
	assert_false(is_trusted(world, "a") || is_trusted(world, "b"));
	/* Another key: all are looked at again by work alone, and of what was derived nothing is read again. */
	set_key(world, key, true);
	assert_false(is_listed_as_trusted(world, "a"));
	assert_int_equal(work(world).repositories, 0);
	assert_true(is_listed_as_trusted(world, "a") && !is_listed_as_trusted(world, "b"));
	assert_true(is_trusted(world, "a") && !is_trusted(world, "b"));
	set_key(world, other, true);
	set_key(world, key, false);
	(void)work(world);
	assert_true(!is_trusted(world, "a") && is_trusted(world, "b"));
	/* One of another image, under the tag of this one. */
	(void)put_signature(world, "a", &image_a, other);
	(void)work(world);
	assert_true(is_trusted(world, "a"));
	/* Without its file. */
	(void)snprintf(path, sizeof(path), "%s/" METADATA_FILE, world->data);
	assert_int_equal(unlink(path), 0);
	while (!work_or_fail(world))
		;
	assert_true(is_trusted(world, "a") && is_trusted(world, "b"));
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static void finds_by_what_is_in_it(struct world *world)
{
	struct metadata_query query = all_of(world);
	const struct made more = {
		.config = CONFIG_OF("linux", "amd64", "09"), .layers = three_layers, .layers_len = 3
	};
	struct digest base = simple(world, "base", "v1", CONFIG_OF("linux", "amd64", "02"));
	struct digest child = make_image(world, "child", "v1", &more);
	struct digest index = make_index(world, "child", "multi", &child, &child);
	struct digest third = digest_of(HASH_SHA256, STR("three"));
	struct metadata_image of_base, of_child;
	struct metadata_reference reference;
	struct metadata_images found;
	char text[DIGEST_TEXT_SIZE];
	struct error err;

	(void)work(world);
	of_base = image(world, "base", "v1");
	of_child = image(world, "child", "v1");
	reference = (struct metadata_reference){ base, of_base.manifests[0].layers, 2 };
	assert_true(metadata_derived(world->md, &reference, 1, &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 2);
	assert_string_equal(found.at[0].tag, "multi");
	assert_string_equal(found.at[1].tag, "v1");
	assert_true(digest_equal(&found.at[0].manifests[0].digest, &child));
	assert_true(metadata_bases(world->md, &reference, 1, &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 0);
	reference = (struct metadata_reference){ child, of_child.manifests[0].layers, 3 };
	assert_true(metadata_bases(world->md, &reference, 1, &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 1);
	assert_string_equal(found.at[0].repository, "base");
	/* A layer, by its beginning and as a whole; and not with another end. */
	digest_format(&third, text);
	assert_true(
		metadata_by_digest(world->md, str_from(text, 7 + 9), &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 2);
	assert_true(metadata_by_digest(world->md, str_of(text), &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 2);
	text[70] = text[70] == '0' ? '1' : '0';
	assert_true(metadata_by_digest(world->md, str_of(text), &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 0);
	/* An index by its whole digest alone. */
	digest_format(&index, text);
	assert_true(metadata_by_digest(world->md, str_of(text), &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 1);
	assert_true(metadata_by_digest(world->md, str_from(text, 30), &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 0);
	assert_true(metadata_by_digest(world->md, STR("sha256:abc"), &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 0);
	assert_true(metadata_by_digest(world->md, STR("md5:abcdef"), &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 0);
}

static const struct str arm64 = { "arm64", 5 };

static void pages_and_sorts(struct world *world)
{
	struct metadata_query query = all_of(world);
	struct metadata_repositories repos;
	struct metadata_images found;
	char name[16];
	struct error err;

	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "r%02u", i);
		(void)simple(world, name, i % 2 ? "Odd" : "even",
			i % 3 ? CONFIG_OF("linux", "amd64", "02") : CONFIG_OF("linux", "arm64", "03"));
	}
	(void)work(world);
	query.no_limit = false;
	query.limit = 3;
	query.offset = 4;
	repos = repositories(world, "r", &query);
	assert_int_equal(repos.total, 20);
	assert_int_equal(repos.len, 3);
	assert_string_equal(repos.at[0].name, "r04");
	query.sort = METADATA_ALPHABETIC_DSC;
	assert_string_equal(repositories(world, "", &query).at[0].name, "r15");
	query.sort = METADATA_UPDATE_TIME;
	query.offset = 0;
	found = images(world, "", &query);
	assert_int_equal(found.total, 20);
	assert_string_equal(found.at[0].repository, "r00");
	assert_string_equal(found.at[1].repository, "r03");
	query.offset = 30;
	assert_int_equal(images(world, "", &query).len, 0);
	/* By a part of a tag, upper or lower case. */
	query = all_of(world);
	assert_true(metadata_by_tag_part(world->md, STR("oD"), &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 10);
	assert_true(
		metadata_by_tag_start(world->md, STR("r00"), STR("ev"), &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 1);
	assert_true(
		metadata_by_tag_start(world->md, STR("r00"), STR("v"), &query, &world->arena, &found, &err));
	assert_int_equal(found.total, 0);
	query.by_platform = true;
	query.arch = &arm64;
	query.arch_len = 1;
	assert_int_equal(repositories(world, "", &query).total, 7);
	assert_int_equal(images(world, "", &query).total, 7);
	/* An arena that is too small is a clear answer. */
	query = all_of(world);
	{
		AUTO_FINI(arena) small = arena_limit(1000);

		assert_false(metadata_images(world->md, STR_NONE, &query, &small, &found, &err));
		assert_int_equal(err.kind, ERROR_TOO_LARGE);
	}
}

static void hides_what_is_not_for_all(struct world *world)
{
	struct metadata_query query = all_of(world);
	struct error err;

	(void)simple(world, "mine", "v1", CONFIG_OF("linux", "amd64", "02"));
	(void)simple(world, "other", "v1", CONFIG_OF("linux", "amd64", "02"));
	(void)work(world);
	world->forbidden = "other";
	assert_int_equal(repositories(world, "", &query).total, 1);
	assert_int_equal(images(world, "", &query).total, 1);
	assert_int_equal(images(world, "other", &query).total, 0);
	assert_false(metadata_image(world->md, STR("other"), STR("v1"), &query, &world->arena,
		&(struct metadata_image){ 0 }, &err));
	assert_int_equal(err.kind, ERROR_UNKNOWN);
	world->forbidden = NULL;
	/* The ring changes: it is not answered for at once, and forgotten by the next work. */
	world->not_ours = "other";
	world->ring = 2;
	assert_int_equal(repositories(world, "", &query).total, 1);
	assert_int_equal(work(world).dropped, 1);
	assert_int_equal(metadata_stats(world->md).repositories, 1);
	world->not_ours = NULL;
	world->ring = 3;
	(void)work(world);
	assert_int_equal(repositories(world, "", &query).total, 2);
	/* Nobody knows whose they are: nothing is told. */
	world->ring = 0;
	assert_int_equal(repositories(world, "", &query).total, 0);
}

static void lives_without_its_file(struct world *world)
{
	struct metadata_query query = all_of(world);
	char path[128];
	struct stat st;
	FILE *file;

	(void)simple(world, "app", "v1", CONFIG_OF("linux", "amd64", "02"));
	(void)work(world);
	assert_int_equal(images(world, "", &query).total, 1);
	(void)snprintf(path, sizeof(path), "%s/" METADATA_FILE, world->data);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(images(world, "", &query).total, 0);
	assert_true(metadata_stats(world->md).catching_up);
	(void)work(world);
	assert_int_equal(images(world, "", &query).total, 1);
	assert_int_equal(metadata_stats(world->md).rebuilt, 1);
	/* What another process finds is as it was: nothing is read anew. */
	metadata_free(TAKE(world->md));
	open_metadata(world);
	assert_int_equal(work(world).repositories, 0);
	assert_int_equal(images(world, "", &query).total, 1);
	assert_int_equal(metadata_stats(world->md).manifests, 0);
	/* Damaged, and of another format: made anew. */
	metadata_free(TAKE(world->md));
	file = fopen(path, "w");
	assert_non_null(file);
	for (unsigned i = 0; i < 10000; i++)
		(void)fputs("rubbish ", file);
	assert_int_equal(fclose(file), 0);
	open_metadata(world);
	assert_int_equal(work(world).repositories, 1);
	assert_int_equal(images(world, "", &query).total, 1);
	metadata_free(TAKE(world->md));
	{
		AUTO(sqlite) *db = NULL;
		struct error err;

		assert_true(
			sqlite_open(&db, path, &err) && sqlite_exec(db, "PRAGMA user_version = 99", &err));
	}
	open_metadata(world);
	assert_int_equal(work(world).repositories, 1);
	assert_int_equal(images(world, "", &query).total, 1);
}

/* One that ends, on the same folder: its file is left to it. */
static void leaves_anothers_file_alone(struct world *world)
{
	struct metadata_query query = all_of(world);
	struct metadata_images found;
	struct metadata_done done;
	struct sqlite *other = NULL;
	struct stat before, after;
	char path[128];
	struct error err;

	(void)simple(world, "app", "v1", CONFIG_OF("linux", "amd64", "02"));
	(void)work(world);
	(void)snprintf(path, sizeof(path), "%s/" METADATA_FILE, world->data);
	metadata_free(TAKE(world->md));
	assert_true(sqlite_open(&other, path, &err));
	assert_int_equal(stat(path, &before), 0);
	open_metadata(world);
	assert_false(metadata_work(world->md, NULL, &done, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_false(metadata_images(world->md, STR_NONE, &query, &world->arena, &found, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino == after.st_ino);
	sqlite_free(other);
	assert_int_equal(work(world).repositories, 0);
	assert_int_equal(images(world, "", &query).total, 1);
	assert_int_equal(metadata_stats(world->md).rebuilt, 0);
}

static void passes_over_what_is_broken(struct world *world)
{
	struct metadata_image found;
	struct stat st;
	char path[256], hex[129];
	struct digest config = digest_of(HASH_SHA256, STR("{broken"));

	(void)simple(world, "app", "bad", "{broken");
	(void)simple(world, "app", "good", CONFIG_OF("linux", "amd64", "02"));
	(void)work(world);
	found = image(world, "app", "bad");
	assert_int_equal(found.manifests_len, 1);
	assert_string_equal(found.manifests[0].platform.os, "");
	assert_int_equal(found.manifests[0].layers_len, 2);
	assert_string_equal(image(world, "app", "good").manifests[0].platform.os, "linux");
	assert_int_equal(metadata_stats(world->md).skipped, 1);
	digest_encoded(&config, hex);
	(void)snprintf(path, sizeof(path), "%s/app/blobs/sha256/%s", world->rig.folder, hex);
	assert_int_equal(stat(path, &st), 0);
}

#define TURNS 30

/* On another thread: whatever is there at that moment is told whole. */
static void ask_meanwhile(void *arg)
{
	struct job *job = arg;
	struct metadata_query query = all_of(job->world);
	struct metadata_images found;
	struct metadata_repositories repos;
	struct error err;

	while (!__atomic_load_n(&job->world->is_over, __ATOMIC_ACQUIRE)) {
		AUTO_FINI(arena) arena = arena_limit((size_t)64 * 1024 * 1024);

		assert_true(metadata_images(job->world->md, STR_NONE, &query, &arena, &found, &err));
		assert_true(metadata_images(job->world->md, STR("r3"), &query, &arena, &found, &err));
		assert_true(metadata_repositories(job->world->md, STR("r"), &query, &arena, &repos, &err));
		for (size_t i = 0; i < found.len; i++)
			assert_string_equal(found.at[i].tag, "v1");
		(void)metadata_stats(job->world->md);
	}
	latch_open(&job->done);
}

static void is_asked_while_it_derives(struct world *world)
{
	struct job other = { .world = world, .done = LATCH_INIT };
	struct metadata_query query = all_of(world);
	char path[128], name[16];

	(void)snprintf(path, sizeof(path), "%s/" METADATA_FILE, world->data);
	assert_true(pool_submit(world->rig.pool, ask_meanwhile, &other));
	for (unsigned i = 0; i < TURNS; i++) {
		(void)snprintf(name, sizeof(name), "r%u", i % 10);
		(void)simple(world, name, "v1",
			i % 2 ? CONFIG_OF("linux", "amd64", "02") : CONFIG_OF("linux", "arm64", "03"));
		if (i % 10 == 9)
			(void)unlink(path);
		(void)work_or_fail(world);
	}
	__atomic_store_n(&world->is_over, true, __ATOMIC_RELEASE);
	latch_wait(&other.done);
	(void)work(world);
	assert_int_equal(images(world, "", &query).total, 10);
	assert_int_equal(metadata_stats(world->md).behind, 0);
}

#define TEST(name)                                                                                           \
	static void test_##name(void **state)                                                                \
	{                                                                                                    \
		in_pool(state, name);                                                                        \
	}
TEST(tells_an_image)
TEST(tells_an_index)
TEST(follows_changes)
TEST(knows_signatures)
TEST(trusts_by_the_keys_that_count)
TEST(finds_by_what_is_in_it)
TEST(pages_and_sorts)
TEST(hides_what_is_not_for_all)
TEST(lives_without_its_file)
TEST(leaves_anothers_file_alone)
TEST(passes_over_what_is_broken)
TEST(is_asked_while_it_derives)
#define CASE(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(tells_an_image),
		CASE(tells_an_index),
		CASE(follows_changes),
		CASE(knows_signatures),
		cmocka_unit_test_setup_teardown(
			test_trusts_by_the_keys_that_count, setup_with_keys, teardown),
		CASE(finds_by_what_is_in_it),
		CASE(pages_and_sorts),
		CASE(hides_what_is_not_for_all),
		CASE(lives_without_its_file),
		CASE(leaves_anothers_file_alone),
		CASE(passes_over_what_is_broken),
		CASE(is_asked_while_it_derives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
