#!yaml
# yaml-language-server: $schema=../courses.schema.json
# ENGR 114 at an invented college: the course of `./coursehub up demo`. All people are invented.
# Change a line, then run `./coursehub plan demo` to see what would change, and `./coursehub apply demo` to change it.
course:
  title: "ENGR 114: Engineering Programming with Python"
  domain: carried-8356.coursehub.test   # the address that students type; a name below one of your DNS zones
  contact: professor@coursehub.test   # for the account at the certificate authority
  cloud: local                     # local: machines on this computer; digitalocean: a droplet
  size: s-2vcpu-4gb
  image: debian-13-x64
  timezone: America/Los_Angeles

  limits:                          # what one person's server may use
    memory: 1G
    cpu: 2.0
    tasks: 512
  upload_limit: 100M
  idle_after: 120                  # a server is stopped after so many minutes without use; files stay

  packages: [numpy, pint]
  imports: [numpy, pint]

  material:
    data:                          # stored once for the whole class: everybody reads it in ~/data
      - {name: falling-ball.csv, source: falling-ball.csv}   # the file is in pillar/files/data/

  page:
    message: Welcome! The first lab is on Monday at 9:00.   # message of the day; a new one restarts nothing
    help: professor@coursehub.test                          # the contact for students

  people:
    professors:
      - {account: rivera, name: Elena Rivera}
    assistants:
      - {account: okafor, name: Chidi Okafor}
    students:
      - {account: abello, name: Amara Bello, groups: [red]}
      - {account: bcarter, name: Ben Carter, groups: [red]}
      - {account: cdubois, name: Chloe Dubois}
      - {account: dflores, name: Diego Flores}
      - {account: esato, name: Emi Sato}
      - {account: fhaddad, name: Farid Haddad}
      - {account: gkim, name: Grace Kim}
      - {account: hlarsen, name: Hugo Larsen}
      - {account: imoreau, name: Ines Moreau}
      - {account: jweber, name: Jonas Weber}
      - {account: knair, name: Kavya Nair}
      - {account: lbyrne, name: Liam Byrne}
      - {account: mchen, name: Mei Chen}
      - {account: nfischer, name: Noah Fischer}
      - {account: opetrova, name: Olga Petrova}
      - {account: preyes, name: Pablo Reyes}
      - {account: qtaylor, name: Quinn Taylor}
      - {account: rmarino, name: Rosa Marino}
      - {account: saziz, name: Samir Aziz}
      - {account: tjansen, name: Tess Jansen}
      - {account: urao, name: Uma Rao}
      - {account: vhansen, name: Victor Hansen}
      - {account: wnowak, name: Wanda Nowak}
      - {account: ydemir, name: Yusuf Demir}
