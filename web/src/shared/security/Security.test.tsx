import { screen, waitFor, within } from "@testing-library/react";
import { beforeEach, expect, test, vi } from "vitest";
import { dialog, gone } from "../../test/act";
import { refuse, server } from "../../test/api";
import * as make from "../../test/make";
import { draw, show } from "../../test/show";
import { SessionGate } from "../session";
import { MustSetUp } from "./Security";
import { SecurityPanel } from "./SecurityPanel";

const BASE = "/api/v1/auth/second-factor";
const none = {
  demanded: false,
  totp_since: null,
  passkeys: [],
  recovery_codes_left: 0,
  passkeys_possible_at: "localhost",
};
const laptop = { id: "psk_1", name: "laptop", created_at: make.NOW, last_used_at: null };
const CODES = ["aaaaa-bbbbb-ccccc", "ddddd-eeeee-fffff"];
const buffer = (...bytes: number[]) => new Uint8Array(bytes).buffer;

beforeEach(() => {
  server.on("get", BASE, none);
  vi.stubGlobal("PublicKeyCredential", function PublicKeyCredential() {});
});

/** Stand in for the browser's own dialog. */
function browser(over: { create?: () => unknown; get?: () => unknown }) {
  const create = vi.fn((options: CredentialCreationOptions) => options && over.create?.());
  const get = vi.fn((options: CredentialRequestOptions) => options && over.get?.());
  const credentials = { create, get };
  Object.defineProperty(navigator, "credentials", { value: credentials, configurable: true });
  return credentials;
}

const begin = (over = {}) => show(<SecurityPanel />, { as: make.session({ user: make.user(over) }) });

test("an app is set up: password, QR code, its first code, recovery codes that Esc does not lose", async () => {
  const { user } = begin();
  server.on("post", `${BASE}/totp`, { secret: "JBSWY3DP", uri: "otpauth://totp/utcloud:rita?secret=JBSWY3DP" });
  server.on("post", `${BASE}/totp/confirm`, { recovery_codes: CODES });
  await user.click(await screen.findByRole("button", { name: "Set up" }));
  const proof = await dialog();
  await user.type(within(proof).getByLabelText("Password"), "battery-staple");
  expect(within(proof).queryByLabelText("Code")).toBeNull();
  await user.click(within(proof).getByRole("button", { name: "Continue" }));
  await gone(proof);
  expect(server.sent("post", `${BASE}/totp`)).toMatchObject({ password: "battery-staple" });
  const scan = await dialog();
  expect(within(scan).getByRole("img", { name: "QR code for the authenticator app" })).toBeVisible();
  expect(within(scan).getByText("JBSWY3DP")).toBeVisible();
  server.on("get", BASE, { ...none, totp_since: make.NOW, recovery_codes_left: 10 });
  await user.type(within(scan).getByLabelText("The code that the app shows"), "123 456");
  await user.click(within(scan).getByRole("button", { name: "Turn on" }));
  expect(await screen.findByText(/aaaaa-bbbbb-ccccc/)).toHaveTextContent("ddddd-eeeee-fffff");
  await user.keyboard("{Escape}");
  expect(screen.getByText(/aaaaa-bbbbb-ccccc/)).toBeVisible();
  expect(await screen.findByText(/Codes left: 10/)).toBeVisible();
});

test("a wrong code is said at its field", async () => {
  const { user } = begin();
  server.on("post", `${BASE}/totp`, { secret: "JBSWY3DP", uri: "otpauth://totp/x" });
  const detail = "The second step is wrong, or was used already.";
  server.on("post", `${BASE}/totp/confirm`, refuse(422, { detail, field: "code", code: "second_factor_wrong" }));
  await user.click(await screen.findByRole("button", { name: "Set up" }));
  const proof = await dialog();
  await user.type(within(proof).getByLabelText("Password"), "battery-staple");
  await user.click(within(proof).getByRole("button", { name: "Continue" }));
  await gone(proof);
  const scan = await dialog();
  await user.type(within(scan).getByLabelText("The code that the app shows"), "000000");
  await user.click(within(scan).getByRole("button", { name: "Turn on" }));
  expect(await within(scan).findByText(new RegExp(detail))).toBeVisible();
});

test("a passkey is made by the browser and added", async () => {
  const { user } = begin();
  const made = {
    id: "AQI",
    rawId: buffer(1, 2),
    response: { clientDataJSON: buffer(3), attestationObject: buffer(251, 255) },
  };
  const credentials = browser({ create: () => Promise.resolve(made) });
  server.on("post", `${BASE}/passkeys/options`, {
    options: { challenge: "_-8", user: { id: "AAAA", name: "rita" }, excludeCredentials: [] },
  });
  server.on("post", `${BASE}/passkeys`, { recovery_codes: CODES });
  await user.click(await screen.findByRole("button", { name: "Add passkey" }));
  const window = within(await dialog());
  await user.type(window.getByLabelText("Password"), "battery-staple");
  await user.click(window.getByRole("button", { name: "Continue" }));
  expect(await screen.findByText(/aaaaa-bbbbb-ccccc/)).toBeVisible();
  const { publicKey } = credentials.create.mock.calls[0]?.[0] as unknown as { publicKey: { challenge: Uint8Array } };
  expect([...publicKey.challenge]).toEqual([255, 239]);
  expect(server.sent("post", `${BASE}/passkeys`)).toEqual({
    name: "This device",
    credential: {
      id: "AQI",
      rawId: "AQI",
      type: "public-key",
      response: { clientDataJSON: "Aw", attestationObject: "-_8" },
    },
  });
});

test("a passkey that the browser did not make is no fault of the server", async () => {
  const { user } = begin();
  browser({ create: () => Promise.reject(new Error("NotAllowedError")) });
  server.on("post", `${BASE}/passkeys/options`, { options: { challenge: "AA", user: { id: "AA" } } });
  await user.click(await screen.findByRole("button", { name: "Add passkey" }));
  const window = within(await dialog());
  await user.type(window.getByLabelText("Password"), "battery-staple");
  await user.click(window.getByRole("button", { name: "Continue" }));
  expect(await window.findByText(/The browser used no passkey/)).toBeVisible();
  expect(server.calls("post", `${BASE}/passkeys`)).toEqual([]);
});

test("with a second factor, removing one takes its code, or else a passkey", async () => {
  server.on("get", BASE, { ...none, totp_since: make.NOW, passkeys: [laptop], recovery_codes_left: 2 });
  const { user } = begin({ second_factor: true });
  expect(await screen.findByText("Make new recovery codes before they are used up.")).toBeVisible();
  const answer = {
    id: "AQI",
    rawId: buffer(1, 2),
    response: { clientDataJSON: buffer(3), authenticatorData: buffer(4), signature: buffer(5), userHandle: null },
  };
  browser({ get: () => Promise.resolve(answer) });
  const path = `${BASE}/passkeys/{passkey_id}/remove` as const;
  const wanted = { methods: ["totp" as const, "passkey" as const], passkey: { challenge: "AA", rpId: "localhost" } };
  server.on("post", path, ({ body }) =>
    body.passkey ? undefined : refuse(403, { code: "second_factor_required", second_factor: wanted }),
  );
  await user.click(await screen.findByRole("button", { name: "Remove: laptop" }));
  const one = await dialog();
  await user.type(within(one).getByLabelText("Password"), "battery-staple");
  await user.click(within(one).getByRole("button", { name: "Remove" }));
  await gone(one);
  const sent = server.calls("post", path);
  expect(sent.map((call) => [call.path.passkey_id, Boolean(call.body.passkey)])).toEqual([
    ["psk_1", false],
    ["psk_1", true],
  ]);

  server.on("post", `${BASE}/totp/remove`, undefined);
  await user.click(screen.getAllByRole("button", { name: "Remove" })[0] as HTMLElement);
  const two = await dialog();
  await user.type(within(two).getByLabelText("Password"), "battery-staple");
  await user.type(within(two).getByLabelText("Code"), " 123456 ");
  await user.click(within(two).getByRole("button", { name: "Remove" }));
  await gone(two);
  expect(server.sent("post", `${BASE}/totp/remove`)).toMatchObject({ password: "battery-staple", code: "123456" });
});

test("at another address passkeys are not offered", async () => {
  server.on("get", BASE, { ...none, passkeys_possible_at: "cloud.example" });
  begin();
  expect(await screen.findByText(/opened at cloud.example/)).toBeVisible();
  expect(screen.getByRole("button", { name: "Add passkey" })).toBeDisabled();
});

test("who must set one up sees nothing else, and goes on when it is done", async () => {
  const session = make.session({ must_set_up_second_factor: true });
  server.on("get", "/api/v1/auth/session", session);
  server.on("get", BASE, { ...none, demanded: true });
  draw(
    <SessionGate login={<p>Login</p>} waiting={<p>Waiting</p>} setUp={<MustSetUp />}>
      <p>All of it</p>
    </SessionGate>,
  );
  expect(await screen.findByText("Set up a second factor")).toBeVisible();
  expect(screen.queryByText("All of it")).toBeNull();
  const { user } = { user: (await import("@testing-library/user-event")).default.setup({ delay: null }) };
  server.on("post", `${BASE}/totp`, { secret: "JBSWY3DP", uri: "otpauth://totp/x" });
  server.on("post", `${BASE}/totp/confirm`, { recovery_codes: CODES });
  await user.click(await screen.findByRole("button", { name: "Set up" }));
  const proof = await dialog();
  await user.type(within(proof).getByLabelText("Password"), "battery-staple");
  await user.click(within(proof).getByRole("button", { name: "Continue" }));
  await gone(proof);
  server.on("get", "/api/v1/auth/session", make.session());
  const scan = await dialog();
  await user.type(within(scan).getByLabelText("The code that the app shows"), "123456");
  await user.click(within(scan).getByRole("button", { name: "Turn on" }));
  expect(await screen.findByText("All of it")).toBeVisible();
  expect(screen.getByText(/aaaaa-bbbbb-ccccc/)).toBeVisible();
  await user.click(screen.getByRole("button", { name: "I have copied it" }));
  await waitFor(() => expect(screen.queryByText(/aaaaa-bbbbb-ccccc/)).toBeNull());
});
