// The name people know of an Apple device's model identifier: getLocalizedDeviceModel(event), deviceName(model).
// "iPhone13,1" → "iPhone 12 mini"; undefined for what is not in the table.
// `import {getLocalizedDeviceModel} from '@rs/localizeAppleDeviceModel/v1'`, as in RudderStack.

// Name, then the identifiers; `2-4` is 2, 3 and 4.
const IPHONES = `iPhone 1,1;iPhone 3G 1,2;iPhone 3GS 2,1;iPhone 4 3,1-3;iPhone 4s 4,1;iPhone 5 5,1-2;iPhone 5c 5,3-4;
iPhone 5s 6,1-2;iPhone 6 Plus 7,1;iPhone 6 7,2;iPhone 6s 8,1;iPhone 6s Plus 8,2;iPhone SE 8,4;iPhone 7 9,1 9,3;
iPhone 7 Plus 9,2 9,4;iPhone 8 10,1 10,4;iPhone 8 Plus 10,2 10,5;iPhone X 10,3 10,6;iPhone XS 11,2;
iPhone XS Max 11,4 11,6;iPhone XR 11,8;iPhone 11 12,1;iPhone 11 Pro 12,3;iPhone 11 Pro Max 12,5;
iPhone SE (2nd generation) 12,8;iPhone 12 mini 13,1;iPhone 12 13,2;iPhone 12 Pro 13,3;iPhone 12 Pro Max 13,4;
iPhone 13 Pro 14,2;iPhone 13 Pro Max 14,3;iPhone 13 mini 14,4;iPhone 13 14,5;iPhone SE (3rd generation) 14,6;
iPhone 14 14,7;iPhone 14 Plus 14,8;iPhone 14 Pro 15,2;iPhone 14 Pro Max 15,3;iPhone 15 15,4;iPhone 15 Plus 15,5;
iPhone 15 Pro 16,1;iPhone 15 Pro Max 16,2;iPhone 16 Pro 17,1;iPhone 16 Pro Max 17,2;iPhone 16 17,3;
iPhone 16 Plus 17,4;iPhone 16e 17,5;iPhone 17 Pro 18,1;iPhone 17 Pro Max 18,2;iPhone 17 18,3;iPhone Air 18,4`;
const IPADS = `iPad 1,1;iPad 2 2,1-4;iPad mini 2,5-7;iPad (3rd generation) 3,1-3;iPad (4th generation) 3,4-6;
iPad Air 4,1-3;iPad mini 2 4,4-6;iPad mini 3 4,7-9;iPad mini 4 5,1-2;iPad Air 2 5,3-4;iPad Pro (9.7-inch) 6,3-4;
iPad Pro (12.9-inch) 6,7-8;iPad (5th generation) 6,11-12;iPad Pro (12.9-inch) (2nd generation) 7,1-2;
iPad Pro (10.5-inch) 7,3-4;iPad (6th generation) 7,5-6;iPad (7th generation) 7,11-12;iPad Pro (11-inch) 8,1-4;
iPad Pro (12.9-inch) (3rd generation) 8,5-8;iPad Pro (11-inch) (2nd generation) 8,9-10;
iPad Pro (12.9-inch) (4th generation) 8,11-12;iPad mini (5th generation) 11,1-2;iPad Air (3rd generation) 11,3-4;
iPad (8th generation) 11,6-7;iPad (9th generation) 12,1-2;iPad Air (4th generation) 13,1-2;
iPad Pro (11-inch) (3rd generation) 13,4-7;iPad Pro (12.9-inch) (5th generation) 13,8-11;
iPad Air (5th generation) 13,16-17;iPad (10th generation) 13,18-19;iPad mini (6th generation) 14,1-2;
iPad Pro (11-inch) (4th generation) 14,3-4;iPad Pro (12.9-inch) (6th generation) 14,5-6;
iPad Air 11-inch (M2) 14,8-9;iPad Air 13-inch (M2) 14,10-11;iPad Air 11-inch (M3) 15,3-4;
iPad Air 13-inch (M3) 15,5-6;iPad (A16) 15,7-8;iPad mini (A17 Pro) 16,1-2;iPad Pro 11-inch (M4) 16,3-4;
iPad Pro 13-inch (M4) 16,5-6`;

let names = null;

function read(kind, table, into) {
  for (const row of table.split(";")) {
    const [, name, identifiers] = /^\s*(.+?)((?: \d+,\d+(?:-\d+)?)+)\s*$/.exec(row);
    for (const identifier of identifiers.trim().split(" ")) {
      const [, line, from, to = from] = /^(\d+),(\d+)(?:-(\d+))?$/.exec(identifier);
      for (let i = Number(from); i <= Number(to); i++) into.set(`${kind}${line},${i}`, name);
    }
  }
  return into;
}

export function deviceName(model) {
  names ??= read("ipad", IPADS, read("iphone", IPHONES, new Map()));
  return names.get(String(model ?? "").toLowerCase().replace(/\s+/g, ""));
}

export const getLocalizedDeviceModel = (event) => deviceName(event?.context?.device?.model);

export default { deviceName, getLocalizedDeviceModel };
