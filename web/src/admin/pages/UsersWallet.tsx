import { api, MAX_ROWS, ok, type Page, type PageQuery, type Schemas } from "@shared/api/client";

type User = Schemas["UserOut"];
type UserStatus = User["status"];

/** A user with the machine hours that he has left and, for operators, what he keeps. */
export type UserWithHours = User & { available?: string; storage?: Schemas["StorageOut"] };

export interface UserFilter {
  role?: Schemas["Role"];
  status?: UserStatus;
  group_id?: string;
}

/** One page of users with what their wallets hold and what they keep: three calls, however many users there are. */
export async function loadUsers(query: PageQuery & UserFilter, withStorage = false): Promise<Page<UserWithHours>> {
  const page = await ok(api.GET("/api/v1/users", { params: { query } }));
  const [items, storage] = await Promise.all([withHours(page.items), withStorage ? storageOf(page.items) : undefined]);
  return { ...page, items: items.map((user) => ({ ...user, storage: storage?.get(user.id) })) };
}

async function storageOf(users: User[]): Promise<Map<string, Schemas["StorageOut"]>> {
  if (users.length === 0) return new Map();
  const user_id = users.map((user) => user.id);
  const found = await ok(api.GET("/api/v1/storage", { params: { query: { user_id, limit: MAX_ROWS } } }));
  return new Map(found.items.map((one) => [one.user_id, one]));
}

export async function withHours(users: User[]): Promise<UserWithHours[]> {
  if (users.length === 0) return [];
  const owner_id = users.map((user) => user.id);
  const wallets = await ok(api.GET("/api/v1/wallets", { params: { query: { owner_id, limit: MAX_ROWS } } }));
  const hours = new Map(wallets.items.map((wallet) => [wallet.owner_id, wallet.available]));
  return users.map((user) => ({ ...user, available: hours.get(user.id) }));
}
