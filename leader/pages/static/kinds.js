// SPDX-License-Identifier: Apache-2.0
// kinds - the kinds of entities that have a page, and which fields their tables show; without `columns` the first ones.
export const KINDS = [
	{ kind: "user", page: "users", title: "Users", one: "user", usage: "user", gone: "The user's keys go with the user." },
	{ kind: "group", page: "groups", title: "Groups", one: "group", usage: "group" },
	{ kind: "apikey", page: "keys", title: "Keys", one: "key", columns: ["label", "owner", "enabled", "validUntil", "dailyQuota", "monthlyQuota", "monthlyBytes"], rotates: true, makesId: true, usage: "apikey",
		gone: "Who uses it is refused from then on. Its usage stays." },
	{ kind: "policy", page: "policies", title: "Policies", one: "policy", triesAccess: true },
	{ kind: "repository", page: "repositories", title: "Repository limits", one: "limit", gone: "Nothing that is there is removed." },
	{ kind: "worker", page: "workers", title: "Worker keys", one: "worker key", gone: "The worker is refused from then on." },
];
