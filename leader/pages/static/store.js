// SPDX-License-Identifier: Apache-2.0
// store - a value that many views follow.
import { useEffect, useState } from "./html.js";

export function makeStore(value) {
	const followers = new Set();
	return {
		get: () => value,
		set(next) {
			value = next;
			for (const follower of [...followers])
				follower(value);
		},
		patch(part) {
			this.set({ ...value, ...part });
		},
		follow(follower) {
			followers.add(follower);
			return () => followers.delete(follower);
		},
	};
}

export function useStore(store) {
	const [value, setValue] = useState(store.get());
	useEffect(() => {
		setValue(store.get());
		return store.follow(setValue);
	}, [store]);
	return value;
}
