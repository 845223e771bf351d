import { useQuery } from "@tanstack/react-query";
import { screen, waitFor } from "@testing-library/react";
import { beforeEach, expect, test, vi } from "vitest";
import { pass } from "../test/act";
import { page, refuse, server, UNREACHABLE } from "../test/api";
import * as make from "../test/make";
import { draw } from "../test/show";
import { api, ok, setCsrf } from "./api/client";
import { queryClient } from "./query";
import { logOut, SessionGate, useSession } from "./session";
import { Login } from "./ui/Login";

const SESSION = "/api/v1/auth/session";
const NOTEBOOKS = "/api/v1/notebooks";
const nobody = refuse(401, { detail: "Nobody is logged in.", code: "unauthorized" });
const rita = make.session({ user: make.user({ id: "usr_rita", username: "rita" }), csrf_token: "csrf-rita" });
const tim = make.session({ user: make.user({ id: "usr_tim", username: "tim" }), csrf_token: "csrf-tim" });

beforeEach(() => {
  setCsrf("");
  server.on("get", "/api/v1/registration", { open: false });
  server.on("get", NOTEBOOKS, page([make.notebook({ name: "of-rita" })]));
});

function Page() {
  const { user } = useSession();
  const { data } = useQuery({
    queryKey: ["notebooks"],
    queryFn: () => ok(api.GET(NOTEBOOKS, { params: { query: {} } })),
  });
  return (
    <>
      <p>I am {user.username}</p>
      {data?.items.map((one) => (
        <p key={one.id}>{one.name}</p>
      ))}
      <button onClick={() => void logOut()}>Log out</button>
    </>
  );
}

function begin() {
  const { user } = draw(
    <SessionGate login={<Login end="console" other="/admin/" />} waiting={<p>One moment</p>}>
      <Page />
    </SessionGate>,
  );
  const logIn = async (username: string, password: string) => {
    await user.type(await screen.findByLabelText("Username"), username);
    await user.type(screen.getByLabelText("Password"), password);
    await user.click(screen.getByRole("button", { name: "Log in" }));
  };
  return { user, logIn };
}

test("one who is logged in already is asked nothing", async () => {
  server.on("get", SESSION, rita);
  begin();
  expect(screen.getByText("One moment")).toBeVisible();
  expect(await screen.findByText("I am rita")).toBeVisible();
  expect(screen.queryByLabelText("Password")).toBeNull();
});

test("the login leads to the page whose address was asked for", async () => {
  window.history.replaceState(null, "", "/notebooks?state=running");
  server.on("get", SESSION, nobody);
  server.on("post", SESSION, rita);
  const { logIn } = begin();
  await logIn("  rita ", " battery staple ");
  expect(await screen.findByText("I am rita")).toBeVisible();
  expect(server.sent("post", SESSION)).toEqual({ username: "rita", password: " battery staple " });
  expect(window.location.pathname + window.location.search).toBe("/notebooks?state=running");
});

test("a wrong password is said with its cure, and the name stays", async () => {
  server.on("get", SESSION, nobody);
  const detail = "The user name or the password is wrong.";
  server.on("post", SESSION, refuse(401, { detail, cure: "Check both and try again." }));
  const { user, logIn } = begin();
  await logIn("rita", "wrong");
  expect(await screen.findByRole("alert")).toHaveTextContent(`${detail}Check both and try again.`);
  expect(screen.getByLabelText("Username")).toHaveValue("rita");
  server.on("post", SESSION, rita);
  await user.click(screen.getByRole("button", { name: "Log in" }));
  expect(await screen.findByText("I am rita")).toBeVisible();
});

const secondStep = (...methods: ("totp" | "passkey" | "recovery_code")[]) =>
  refuse(403, {
    code: "second_factor_required",
    detail: "The password is right; a second step is needed.",
    second_factor: { methods, passkey: methods.includes("passkey") ? { challenge: "AA", rpId: "localhost" } : null },
  });

test("a second step is asked for, and what was wrong about it said", async () => {
  server.on("get", SESSION, nobody);
  server.on("post", SESSION, secondStep("totp", "recovery_code"));
  const { user, logIn } = begin();
  await logIn("rita", "battery-staple");
  const code = await screen.findByLabelText("Code");
  expect(screen.queryByRole("alert")).toBeNull();
  expect(screen.queryByRole("button", { name: "Use a passkey" })).toBeNull();
  const detail = "The second step is wrong, or was used already.";
  server.on("post", SESSION, refuse(422, { detail, field: "code", code: "second_factor_wrong" }));
  await user.type(code, " 000000 ");
  await user.click(screen.getByRole("button", { name: "Log in" }));
  expect(await screen.findByRole("alert")).toHaveTextContent(detail);
  server.on("post", SESSION, rita);
  await user.clear(code);
  await user.type(code, "123456");
  await user.click(screen.getByRole("button", { name: "Log in" }));
  expect(await screen.findByText("I am rita")).toBeVisible();
  const sent = { username: "rita", password: "battery-staple", passkey: null };
  expect(server.calls("post", SESSION).map(({ body }) => body)).toEqual([
    { username: "rita", password: "battery-staple" },
    { ...sent, code: "000000" },
    { ...sent, code: "123456" },
  ]);
});

test("a passkey is the second step", async () => {
  vi.stubGlobal("PublicKeyCredential", function PublicKeyCredential() {});
  const buffer = new Uint8Array([1]).buffer;
  const response = { clientDataJSON: buffer, authenticatorData: buffer, signature: buffer, userHandle: buffer };
  const get = vi.fn(() => Promise.reject(new Error("called off")) as Promise<unknown>);
  Object.defineProperty(navigator, "credentials", { value: { get }, configurable: true });
  server.on("get", SESSION, nobody);
  server.on("post", SESSION, ({ body }) => (body.passkey ? rita : secondStep("passkey")));
  const { user, logIn } = begin();
  await logIn("rita", "battery-staple");
  await user.click(await screen.findByRole("button", { name: "Use a passkey" }));
  expect(await screen.findByRole("alert")).toHaveTextContent("The browser used no passkey");
  get.mockImplementation(() => Promise.resolve({ id: "AQ", rawId: buffer, response }));
  await user.click(screen.getByRole("button", { name: "Use a passkey" }));
  expect(await screen.findByText("I am rita")).toBeVisible();
  expect(server.sent("post", SESSION)?.passkey).toMatchObject({ id: "AQ", rawId: "AQ", response: { signature: "AQ" } });
});

test("one may go back from the second step", async () => {
  server.on("get", SESSION, nobody);
  server.on("post", SESSION, secondStep("totp"));
  const { user, logIn } = begin();
  await logIn("rita", "battery-staple");
  await user.click(await screen.findByRole("button", { name: "Back to the password" }));
  expect(await screen.findByLabelText("Username")).toBeVisible();
});

test("what is left out is said before anything is sent", async () => {
  server.on("get", SESSION, nobody);
  const { user } = begin();
  await user.click(await screen.findByRole("button", { name: "Log in" }));
  expect(await screen.findByText("Enter your username")).toBeVisible();
  expect(screen.getByText("Enter your password")).toBeVisible();
  expect(server.calls("post", SESSION)).toEqual([]);
});

test("the password is sent once, however often Enter is pressed", async () => {
  server.on("get", SESSION, nobody);
  const release = server.hold("post", SESSION);
  const { user, logIn } = begin();
  await logIn("rita", "battery-staple");
  await user.click(screen.getByRole("button", { name: /Log in/ }));
  release(rita);
  expect(await screen.findByText("I am rita")).toBeVisible();
  expect(server.calls("post", SESSION)).toHaveLength(1);
});

test("a server that is away is said at the login", async () => {
  server.on("get", SESSION, nobody);
  server.on("post", SESSION, UNREACHABLE);
  const { logIn } = begin();
  await logIn("rita", "battery-staple");
  expect(await screen.findByRole("alert")).toHaveTextContent("The server cannot be reached.");
});

test("an applicant reads how the application stands", async () => {
  server.on("get", SESSION, nobody);
  server.on("post", SESSION, refuse(403, { code: "application_rejected", detail: "It was rejected: too short." }));
  const { logIn } = begin();
  await logIn("rita", "battery-staple");
  expect(await screen.findByText("It was rejected: too short.")).toBeVisible();
  expect(screen.getByRole("link", { name: "Apply again" })).toHaveAttribute("href", "/console/register");
});

test.each([true, false])("where applications are taken (%s), the login leads there", async (open) => {
  server.on("get", SESSION, nobody);
  server.on("get", "/api/v1/registration", { open });
  begin();
  await screen.findByLabelText("Password");
  if (open) expect(await screen.findByRole("link", { name: "Apply for one" })).toBeVisible();
  else expect(screen.queryByRole("link", { name: "Apply for one" })).toBeNull();
});

test("a server that is away is no reason to ask for a password", async () => {
  server.on("get", SESSION, UNREACHABLE);
  begin();
  await pass(30_000);
  expect(screen.getByText("One moment")).toBeVisible();
  server.on("get", SESSION, rita);
  await pass(30_000);
  expect(await screen.findByText("I am rita")).toBeVisible();
});

test("when the session ends, the login stands in place, and nothing of before is left", async () => {
  server.on("get", SESSION, rita);
  const { logIn } = begin();
  expect(await screen.findByText("of-rita")).toBeVisible();
  server.on("get", NOTEBOOKS, nobody);
  server.on("get", SESSION, nobody);
  void queryClient.invalidateQueries({ queryKey: ["notebooks"] });
  expect(await screen.findByLabelText("Password")).toBeVisible();
  expect(queryClient.getQueryData(["notebooks"])).toBeUndefined();
  const release = server.hold("get", NOTEBOOKS);
  server.on("post", SESSION, tim);
  await logIn("tim", "battery-staple");
  expect(await screen.findByText("I am tim")).toBeVisible();
  expect(screen.queryByText("of-rita")).toBeNull();
  release(page([make.notebook({ name: "of-tim" })]));
  expect(await screen.findByText("of-tim")).toBeVisible();
});

test("when somebody else logs in, in another tab, nothing of the first one stays", async () => {
  server.on("get", SESSION, rita);
  begin();
  expect(await screen.findByText("of-rita")).toBeVisible();
  server.on("get", SESSION, tim);
  server.hold("get", NOTEBOOKS);
  await pass(60_000);
  expect(await screen.findByText("I am tim")).toBeVisible();
  expect(screen.queryByText("of-rita")).toBeNull();
});

test("logging out ends the session at the server, and forgets what was shown", async () => {
  server.on("get", SESSION, rita);
  server.on("delete", SESSION, undefined);
  const { user } = begin();
  await screen.findByText("of-rita");
  await user.click(screen.getByText("Log out"));
  expect(await screen.findByLabelText("Password")).toBeVisible();
  expect(server.calls("delete", SESSION)[0]?.headers.get("X-CSRF-Token")).toBe("csrf-rita");
  await waitFor(() => expect(queryClient.getQueryData(["notebooks"])).toBeUndefined());
});
