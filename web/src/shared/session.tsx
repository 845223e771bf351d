import { useQuery } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect } from "react";
import { api, ok, type Schemas, setCsrf, setOnLoggedOut } from "./api/client";
import { ApiError } from "./api/problem";
import { queryClient } from "./query";
import type { Step } from "./security/passkeys";

export type Session = Schemas["SessionOut"];
export type Role = Schemas["Role"];
const KEY = ["session"];

const SessionContext = createContext<Session | null>(null);

/** The logged-in user's session; only inside `SessionGate`. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("useSession is for pages behind the login");
  return session;
}

/** Whether one has any of `roles`. An operator may do what miners and renters may. */
export function useRole(...roles: Role[]): boolean {
  const { user } = useSession();
  return user.roles.some((role) => role === "operator" || roles.includes(role));
}

async function restore(): Promise<Session | null> {
  try {
    const session = await ok(api.GET("/api/v1/auth/session"));
    const before = queryClient.getQueryData<Session | null>(KEY);
    // Somebody else logged in, in another tab of this browser.
    if (before && before.user.id !== session.user.id) forgetPages();
    setCsrf(session.csrf_token);
    return session;
  } catch (error) {
    if (error instanceof ApiError && error.problem.status === 401) return null;
    throw error;
  }
}

/** Begin a session; `step` is the second step, for who has a second factor. */
export async function logIn(username: string, password: string, step?: Step): Promise<void> {
  const session = await ok(api.POST("/api/v1/auth/session", { body: { username, password, ...step } }));
  begin(session);
}

export async function logOut(): Promise<void> {
  await ok(api.DELETE("/api/v1/auth/session"));
  forget();
}

const forget = () => begin(null);

/** Forget what another user was shown. The session's own query stays: the gate watches it. */
const forgetPages = () => queryClient.removeQueries({ predicate: (query) => query.queryKey[0] !== KEY[0] });

function begin(session: Session | null): void {
  setCsrf(session?.csrf_token ?? "");
  forgetPages();
  queryClient.setQueryData(KEY, session);
}

/** Shows `login` in place while nobody is logged in: the address stays, so one comes back to where one was. */
export function SessionGate({
  login,
  waiting,
  setUp,
  children,
}: {
  login: ReactNode;
  waiting: ReactNode;
  /** For whom the platform demands a second factor of, who has none. */
  setUp?: ReactNode;
  children: ReactNode;
}) {
  useEffect(() => setOnLoggedOut(forget), []);
  const { data, isPending } = useQuery({ queryKey: KEY, queryFn: restore, refetchInterval: 60_000, retry: true });
  if (isPending) return waiting;
  if (!data) return login;
  const shown = data.must_set_up_second_factor && setUp ? setUp : children;
  return <SessionContext.Provider value={data}>{shown}</SessionContext.Provider>;
}
