/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/data_file.h"

#include <inttypes.h>

#include "common/aside.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/complaints.h"

bool data_file_newer(uint64_t format, unsigned ours, struct error *err)
{
	return error_set(err, ERROR_INVALID, DATA_FILE_NEWER,
		"of format %" PRIu64 ", written by a newer zot-worker; this one (" ZOT_VERSION
		") reads %u at most: start the newer one again, with this file under its own name",
		format, ours);
}

/* All of them in one complaint; names alone, the log has the folder. */
static void complain(struct cluster *cluster, const char *path, const char *kept)
{
	struct str folder, name = STR_NONE;

	if (!str_split_last(str_of(kept ? kept : path), '/', &folder, &name))
		name = str_of(kept ? kept : path);
	buf_format(&cluster->unread, "%s%.*s", cluster->unread.len ? ", " : "", STR_ARGS(name));
	complaint_say(cluster->complaints, COMPLAINT_FILES,
		"could not be read at the start%s: %s; file.unread in the log of the start says why, and "
		"what that means",
		kept ? " and is kept" : "", buf_text(&cluster->unread));
}

void data_file_keep(struct cluster *cluster, const char *path, const struct error *why, const char *lost)
{
	AUTO_FINI(buf) name = buf_limit(4096);
	struct error err;
	bool kept = aside_keep(path, why->code ? "newer" : "damaged", &name, &err);

	loop_assert(cluster->run.loop);
	log_error("file.unread", "error=%s kept=%s what=%s", log_quote(str_of(why->text)),
		log_quote(kept ? buf_str(&name) : str_of(err.text)), log_quote(str_of(lost)));
	complain(cluster, path, kept ? buf_text(&name) : NULL);
}
